"""What the README shows runs as it stands there, one piece after the other."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_python_code_runs(tmp_path, monkeypatch, capsys):
    pieces = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(pieces) >= 3
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    for piece in pieces:
        exec(compile(piece, str(README), "exec"), names)
    assert {path.name for path in tmp_path.iterdir()} == {"digits.keras", "digits.onnx"}
    assert 'program "train"' in capsys.readouterr().out
