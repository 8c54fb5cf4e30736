"""The ``graphc`` command: one verb a module, run by `graphc.cli.main`."""
