#!/usr/bin/env python3
"""Re-create the vendored browser libraries of the workbench, or check them.

    python scripts/vendor.py            fetch the packages with npm and write the files
    python scripts/vendor.py --check    compare the files in the tree with the pinned hashes

The files are committed, so that whoever runs the workbench needs neither npm nor a network. Where
npm fetches from is npm's own configuration. Every file is pinned by the SHA-256 of what is
committed: a package that changes under its version number, or a file that was edited here, is found.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

VENDOR = Path(__file__).resolve().parent.parent / "src/fieldstone/workbench/static/workbench/vendor"


def as_it_is(content: bytes) -> bytes:
    return content


def without_source_map(content: bytes) -> bytes:
    """Drop the pointer to a source map that is not vendored: collectstatic would stop at it."""
    return re.sub(rb"\n?//# sourceMappingURL=\S+\s*\Z", b"\n", content)


def woff2_only(content: bytes) -> bytes:
    """Keep of the font's five formats the one that every present browser reads."""
    source = b"src:url('../fonts/fontawesome-webfont.woff2?v=4.7.0') format('woff2');"
    changed, count = re.subn(rb"src:url\('[^;]*\.eot\?v=4\.7\.0'\);src:url\([^;]*;", source, content)
    if count != 1:
        raise SystemExit("font-awesome: the rule @font-face is not as expected")
    return changed


def without_remote_parts(content: bytes) -> bytes:
    """Take out where MathJax would fetch its speech rules from: the pages load nothing from elsewhere."""
    return re.sub(rb"https://[a-z.]+/npm/", b"about:invalid#", content)


def license_section(content: bytes) -> bytes:
    """Font Awesome 4 has no licence file: its licence is a section of its README."""
    match = re.search(rb"^## License\n.*?(?=^## )", content, re.MULTILINE | re.DOTALL)
    if match is None:
        raise SystemExit("font-awesome: the README has no section on its licence")
    return match[0].strip() + b"\n"


class File(NamedTuple):
    source: str
    target: str
    sha256: str
    change: Callable[[bytes], bytes] = as_it_is


PACKAGES: dict[str, list[File]] = {
    "jquery@3.7.1": [
        File(
            "dist/jquery.min.js",
            "jquery/jquery.min.js",
            "fc9a93dd241f6b045cbff0481cf4e1901becd0e12fb45166a8f17f95823f0b1a",
        ),
        File(
            "LICENSE.txt",
            "jquery/LICENSE.txt",
            "d4db9ebe6f29f5168eac45ad713f055623ac5d0dcd5ba92da23d650ae012020d",
        ),
    ],
    "jquery-ui@1.14.1": [
        File(
            "dist/jquery-ui.min.js",
            "jquery-ui/jquery-ui.min.js",
            "0254e2768f39b973e54b2c9a64db23257782b34ede4afdebe3793209573c0a12",
        ),
        File(
            "LICENSE.txt",
            "jquery-ui/LICENSE.txt",
            "f649025cf65c8dcd8588b0937883ba7a52bdb6d35129464a36a1602eb00250f1",
        ),
    ],
    "jquery.cookie@1.4.1": [
        # Its licence, MIT, stands in its first lines: the package has no file of it.
        File(
            "jquery.cookie.js",
            "jquery-cookie/jquery.cookie.js",
            "b84161c9fbf7520cd14e7019f92120bd87a928a074156e91a992eba9fc9436e8",
        ),
    ],
    "jquery.scrollto@2.1.3": [
        File(
            "jquery.scrollTo.min.js",
            "jquery-scrollto/jquery.scrollTo.min.js",
            "1c649986870e0841ef8aaeecddaf75ecbca331aa9707be42ee42d50ea94c7dd7",
        ),
        File(
            "LICENSE",
            "jquery-scrollto/LICENSE",
            "eca3efa0971d74d41dc63b85186631ce55a69c9d373d62fe26ee360f685c7a85",
        ),
    ],
    "mustache@4.2.0": [
        File(
            "mustache.min.js",
            "mustache/mustache.min.js",
            "d7fd0603512461e8edbd81686bead2ab82df3389b9cca235dd9d5b408848e02a",
        ),
        File("LICENSE", "mustache/LICENSE", "e60b280838180a70cbb4b934f825c8119cdcf8912259ff4c6da20b284231c832"),
    ],
    "underscore@1.13.7": [
        File(
            "underscore-umd-min.js",
            "underscore/underscore.min.js",
            "c12dae551a8773812f3c6b682e8e66ecf71c729bf7e83f295747c0773e76cabb",
            without_source_map,
        ),
        File(
            "LICENSE",
            "underscore/LICENSE",
            "92905fb54f5d168a27e6d5dc7c2197020add11842be4c70689d084bae3bfe37a",
        ),
    ],
    "font-awesome@4.7.0": [
        File(
            "css/font-awesome.min.css",
            "font-awesome/css/font-awesome.min.css",
            "cfca43d9c70d8cb1d16e27814cb886d2b423cba17fb0e70b4ec5fe10e5f40202",
            woff2_only,
        ),
        File(
            "fonts/fontawesome-webfont.woff2",
            "font-awesome/fonts/fontawesome-webfont.woff2",
            "2adefcbc041e7d18fcf2d417879dc5a09997aa64d675b7a3c4b6ce33da13f3fe",
        ),
        File(
            "README.md",
            "font-awesome/LICENSE.md",
            "dff2f288fd005404789397f164cfa1e347c571a80d3af917dce73c4b190611f5",
            license_section,
        ),
    ],
    "mathjax@3.2.2": [
        File(
            "es5/tex-svg-full.js",
            "mathjax/tex-svg-full.js",
            "fa4067e0f0396d6c6947e35a2020d5754e40cfe45bdfae57e9dd24d6300661d3",
            without_remote_parts,
        ),
        File("LICENSE", "mathjax/LICENSE", "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"),
    ],
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fetch(package: str, directory: Path) -> Path:
    """Let npm fetch one package; answer the archive's path."""
    command = ["npm", "pack", "--silent", "--ignore-scripts", package]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    return directory / done.stdout.split()[-1]


def write() -> list[str]:
    """Write every vendored file; answer what does not have the pinned hash (and is not written)."""
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        for package, files in PACKAGES.items():
            with tarfile.open(fetch(package, Path(temporary))) as archive:
                for file in files:
                    # npm's archives have one top folder, of any name.
                    top = archive.getnames()[0].split("/")[0]
                    member = archive.extractfile(f"{top}/{file.source}")
                    assert member is not None, file.source
                    content = file.change(member.read())
                    if sha256(content) != file.sha256:
                        wrong.append(f"{package}: {file.target} is {sha256(content)}")
                        continue
                    path = VENDOR / file.target
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
    return wrong


def check() -> list[str]:
    """Answer what is missing, changed or unknown in the folder of vendored files."""
    pinned = {file.target: file.sha256 for files in PACKAGES.values() for file in files}
    found = {
        path.relative_to(VENDOR).as_posix(): sha256(path.read_bytes())
        for path in VENDOR.rglob("*")
        if path.is_file()
    }
    wrong = [f"{name} is missing" for name in sorted(pinned.keys() - found.keys())]
    wrong += [f"{name} is not a vendored file" for name in sorted(found.keys() - pinned.keys())]
    wrong += [
        f"{name} is {found[name]}, not {pinned[name]}"
        for name in sorted(pinned.keys() & found.keys())
        if found[name] != pinned[name]
    ]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the pinned hashes, offline")
    wrong = check() if parser.parse_args().check else write() or check()
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
