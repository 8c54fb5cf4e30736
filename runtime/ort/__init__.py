"""Programs as ONNX graphs in ONNX Runtime, on a GPU where there is one.

`graphc.runtime.ort.executable` runs programs, `graphc.runtime.ort.providers` says what this machine
can run them on.
"""
