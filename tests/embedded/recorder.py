"""A CNI plugin that writes down how it was called, and answers as its configuration says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """\
#!{python} -IS
import json, os, sys

conf = json.load(sys.stdin)
env = {{key: value for key, value in os.environ.items() if key.startswith("CNI_")}}
with open({calls!r}, "a") as calls:
    calls.write(json.dumps({{"env": env, "conf": conf}}) + "\\n")
command = env["CNI_COMMAND"]
if command in conf.get("fails", ()):
    print(json.dumps({{"code": 999, "msg": conf["name"] + " fails on " + command}}))
    sys.exit(1)
if command == "ADD":
    path = conf.get("runtimeConfig", {{}}).get("CNIDeviceInfoFile")
    if path and "deviceInfo" in conf:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            json.dump(conf["deviceInfo"], file)
    result = json.dumps(conf.get("result", conf.get("prevResult", {{}})))
    result = result.replace("IFNAME", env["CNI_IFNAME"]).replace("SANDBOX", env["CNI_NETNS"])
    print(json.dumps({{**json.loads(result), "cniVersion": conf["cniVersion"]}}))
"""


class Recorder:
    """The plugin type ``recorder``, installed in a folder for ``ClusterConfig.cni_plugins``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls.jsonl"
        program = folder / "recorder"
        program.write_text(_PROGRAM.format(python=sys.executable, calls=str(self._calls)))
        program.chmod(0o755)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Each call's ``env`` and ``conf``, in order."""
        if not self._calls.exists():
            return []
        return [json.loads(line) for line in self._calls.read_text().splitlines()]

    @property
    def commands(self) -> list[str]:
        """Command and network of each call, in order."""
        return [f"{c['env']['CNI_COMMAND']} {c['conf']['name']}" for c in self.calls]

    @staticmethod
    def args(call: dict[str, Any]) -> dict[str, str]:
        """The pairs of a call's CNI_ARGS."""
        return dict(pair.split("=", 1) for pair in call["env"]["CNI_ARGS"].split(";"))
