"""The order of the house: a module imports only what stands to the left of it."""

import ast
from pathlib import Path

import lposs_geo

ROOT = Path(lposs_geo.__file__).parent

ORDER = (
    "hints",
    "errors",
    "limits jit network progress release",
    "memory tiling grid",
    "files request",
    "legend models",
    "scene pulling",
    "examples",
    "encoders graph propagation",
    "testing",
    "lposs",
    "store",
    "stages",
    "writers",
    "polygons",
    "finished provenance",
    "content earlier planning",
    "making",
    "products",
    "needs",
    "running segmenting",
    "mapping",
    "batch bench doctor",
    "cli",
    "__main__",
)
"""Wings and modules of the package, from those that know nothing of the others to the command line."""

LEVEL = {name: level for level, names in enumerate(ORDER) for name in names.split()}


def imports(path: Path) -> set[str]:
    """All modules of ours that a file imports, wherever in it, by their names without the package's."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by its position"
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.removeprefix("lposs_geo.") for name in named if name.startswith("lposs_geo.")}
    return found


def arrows() -> set[tuple[str, str, str]]:
    """Who imports whom between the parts of the package: (part, other part, the file that does)."""
    found = set()
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).with_suffix("").parts
        if name != ("__init__",):
            found |= {(name[0], other.split(".")[0], str(path.relative_to(ROOT))) for other in imports(path)}
    return {arrow for arrow in found if arrow[0] != arrow[1]}


def test_every_part_has_its_level():
    parts = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == LEVEL.keys()


def test_no_arrow_runs_back():
    wrong = {arrow for arrow in arrows() if LEVEL[arrow[1]] >= LEVEL[arrow[0]]}
    assert not wrong, sorted(wrong)


def test_within_a_wing_no_arrow_runs_in_a_circle():
    for wing in (path for path in ROOT.iterdir() if (path / "__init__.py").exists()):
        left = {
            path.stem: {name.split(".")[1] for name in imports(path) if name.startswith(f"{wing.name}.")} - {path.stem}
            for path in wing.glob("*.py")
            if path.stem != "__init__"
        }
        while free := {name for name, others in left.items() if not others & left.keys()}:
            left = {name: others for name, others in left.items() if name not in free}
        assert not left, f"{wing.name}: {left}"


def test_a_wing_only_names_what_its_modules_hold():
    for stub in ROOT.rglob("__init__.pyi"):
        package = ".".join(("lposs_geo", *stub.relative_to(ROOT).parts[:-1]))
        module = __import__(package, fromlist=["x"])
        for name in module.__all__:
            assert getattr(module, name) is not None, f"{package}.{name}"
