"""Makes PyTorch from PyPI importable without the gigabytes of CUDA that it asks for.

PyPI has one build for Linux, which is linked to CUDA's libraries even where there is no GPU, and those
are packages of several gigabytes. The tests only use the processor. So the wheel is installed without
its dependencies, and this puts libraries beside it that have the names and symbols that the loader
looks for, and nothing behind them.

    python small_torch.py            # after `pip install --no-deps torch`
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path


CUDA = ("libcu", "libnccl", "libnv")
CUDA_SYMBOLS = ("cu", "nccl", "nv", "__nv")


def dynamic(library: Path) -> list[str]:
    """Names of the libraries that one needs."""
    out = subprocess.run(["readelf", "-dW", library], check=True, capture_output=True, text=True)
    lines = (line for line in out.stdout.splitlines() if "(NEEDED)" in line)
    return [line.split("[")[1].split("]")[0] for line in lines]


def versions(library: Path) -> dict[str, str]:
    """Which library each version of symbols that one needs belongs to."""
    out = subprocess.run(["readelf", "-VW", library], check=True, capture_output=True, text=True)
    owner, found = "", {}
    for line in out.stdout.splitlines():
        words = line.split()
        if "File:" in words:
            owner = words[words.index("File:") + 1]
        elif "Name:" in words and owner and "Flags:" in words:
            found[words[words.index("Name:") + 1]] = owner
    return found


def symbols(library: Path, which: str) -> set[str]:
    """Symbols that one defines or lacks, as `name` or `name@version`."""
    out = subprocess.run(["nm", "-D", which, library], check=True, capture_output=True, text=True)
    return {line.split()[-1].replace("@@", "@") for line in out.stdout.splitlines() if line.strip()}


def build(target: Path, names: dict[str, set[str]]) -> None:
    """A library of symbols, by their version, that do nothing."""
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "nothing.c"), Path(folder, "versions")
        # Some are called while torch is loaded, to register kernels that nobody will run.
        every = sorted(set().union(*names.values()))
        source.write_text("".join(f"long {name}(void) {{ return 0; }}\n" for name in every) or "int nothing;\n")
        lines = [f"{v} {{ global: {' '.join(f'{n};' for n in sorted(names[v]))} }};" for v in names if v]
        script.write_text("\n".join(lines))
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{target.name}", "-o", target, source]
        if lines:
            command.append(f"-Wl,--version-script={script}")
        subprocess.run(command, check=True)


def main() -> None:
    libraries = Path(sysconfig.get_path("purelib")) / "torch" / "lib"
    present = {path.name: path for path in libraries.glob("*.so*")}
    missing: dict[str, dict[str, set[str]]] = {}
    loose: set[str] = set()
    defined: set[str] = set()
    for path in present.values():
        absent = [name for name in dynamic(path) if name not in present and name.startswith(CUDA)]
        missing.update({name: {} for name in absent if name not in missing})
        defined |= symbols(path, "--defined-only")
    for path in present.values():
        owners = versions(path)
        for symbol in symbols(path, "--undefined-only") - defined:
            name, _, version = symbol.partition("@")
            if owners.get(version) in missing:
                missing[owners[version]].setdefault(version, set()).add(name)
            elif not version and name.startswith(CUDA_SYMBOLS):
                loose.add(name)
    for name, names in missing.items():
        # A symbol without a version may come from any library that has none.
        build(libraries / name, names or {"": loose})
    print(f"{len(missing)} libraries stand in for CUDA", file=sys.stderr)


if __name__ == "__main__":
    main()
