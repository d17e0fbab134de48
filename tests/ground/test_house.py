"""The rules of the house that a program can check: imports, names, sizes, no pickles."""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 400

# Which of our own packages a package may import, besides itself.
ALLOWED = {
    "records": set(),
    "specs": {"records"},
    "adm": {"specs", "records"},
    "eval": {"records"},
    "adm_eval": {"eval", "records"},
    "workflow": {"specs", "records"},
    "reports": {"specs", "records"},
}
PACKAGES = tuple(ALLOWED)
CODE = (*PACKAGES, "bench", "examples", "tests")
# The rooms of a package from the ground up; the modules beside them are its top floor.
ROOMS = {
    "adm": "process networks datasets weights training sampling published",
    "eval": "images networks metrics",
}
NO_TORCH = ("specs", "adm.published.names", "records", "reports", "workflow")
# The modules of `records` that take more than numpy, inside their functions, and what they take.
RECORDS_EXTRA = {
    "records.inversion": {"scipy"},
    "records.orders": {"tqdm"},
    "records.system_metrics": {"psutil"},
    "records.transfers": {"requests", "urllib3"},
    "records.tracking": {"mlflow"},
    "records.tracking_store": {"mlflow", "requests"},
}
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_imports(source: str, module: str = "", is_package: bool = False) -> set[str]:
    """Dotted names that a source imports anywhere in it; `from a import b` gives `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, base]).rstrip(".")
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def floor_of(module: str) -> int:
    """The floor of a module within its package."""
    package, *rest = module.split(".")
    rooms = ROOMS.get(package, "").split()
    return rooms.index(rest[0]) if rest and rest[0] in rooms else len(rooms)


def find_forbidden_imports(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Imports of our own code, or of anything but numpy in `records`, that the layers forbid."""
    package = module.split(".")[0]
    for name in sorted(find_imports(source, module, is_package)):
        top = name.split(".")[0]
        if top == package:
            allowed = floor_of(name) <= floor_of(module)
        elif top in CODE:
            allowed = top in ALLOWED[package]
        elif package == "records":
            allowed = top in {*sys.stdlib_module_names, "numpy", *RECORDS_EXTRA.get(module, ())}
        else:
            light = any(within(module, one) for one in NO_TORCH)
            allowed = not light or top not in {"torch", "torchvision", "tensorflow"}
        if not allowed:
            yield f"{module} imports {name}"


def find_circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another in a circle, or none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def find_unsafe_calls(source: str) -> Iterator[str]:
    """Pickles, shells, and an `import eval...` that hides the builtin, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(within(a.name, "eval") for a in node.names):
            yield f"{node.lineno}: import eval hides the builtin; write `from eval.x import ...`"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if given.get("allow_pickle", "False") != "False":
            yield f"{node.lineno}: allow_pickle={given['allow_pickle']}"
        if given.get("shell", "False") != "False" or called == "os.system":
            yield f"{node.lineno}: runs a shell"
        if called == "torch.load" and given.get("weights_only") != "True":
            yield f"{node.lineno}: torch.load without weights_only=True"


def find_stubs(source: str) -> Iterator[str]:
    """Notes of unfinished work, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and re.search(r"\b(TODO|FIXME|XXX|HACK)\b", token.string):
            yield f"{token.start[0]}: {token.string}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
            yield f"{node.lineno}: {ast.unparse(node)}"


def test_packages_import_only_what_their_layer_may() -> None:
    wrong = []
    for path in python_files(*PACKAGES):
        is_package = path.name == "__init__.py"
        wrong += find_forbidden_imports(path.read_text(), module_name(path), is_package)
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = {module_name(path): path for path in python_files(*PACKAGES)}
    imports = {}
    for module, path in modules.items():
        names = find_imports(path.read_text(), module, path.name == "__init__.py")
        found = {name if name in modules else name.rpartition(".")[0] for name in names}
        imports[module] = found - {module}
    assert find_circle(imports) == []
    one = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}
    assert set(find_circle(one)) == {"a", "b", "c"}


def test_a_package_has_few_rooms() -> None:
    for package in PACKAGES:
        rooms = [path for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()]
        assert len(rooms) <= 10
        if package in ROOMS:
            assert {path.name for path in rooms} == {*ROOMS[package].split()}


@pytest.mark.parametrize(
    ("module", "source", "num_wrong"),
    [
        (
            "records.files",
            "import json\nimport numpy as np\nfrom records.errors import UserError",
            0,
        ),
        ("records.files", "import yaml", 1),
        ("records.files", "def f():\n    import requests", 1),
        ("records.transfers", "def f():\n    import requests", 0),
        ("records.files", "from specs.tables import Row", 1),
        ("eval.metrics.fid", "import torch\nfrom records.files import digest", 0),
        ("eval.metrics.fid", "def f():\n    from specs import tables", 1),
        ("eval.metrics.fid", "from eval.networks.features import Features", 0),
        ("eval.networks.features", "from eval.metrics.fid import compute_moments", 1),
        ("eval.networks.features", "from eval.grade import grade", 1),
        ("adm.training.loop", "from eval.grade import grade", 1),
        ("adm.training.loop", "from adm.process.seeds import seed_for", 0),
        ("adm.process.sampler", "from adm.networks.unet import UNet", 1),
        ("adm.cli", "from adm.published.draw import draw", 0),
        ("specs.tables", "import torch", 1),
        ("specs.tables", "from adm.networks.unet import UNet", 1),
        ("specs.schedule", "from torch import nn", 1),
        ("reports.tables", "from specs.tables import Row\nfrom . import cells", 0),
        ("reports.tables", "from adm.networks.unet import UNet", 1),
        ("reports.tables", "from ..workflow import plan", 1),
        ("workflow.plan", "from reports.tables import make_table", 1),
    ],
)
def test_the_import_rule_sees_what_it_should(module: str, source: str, num_wrong: int) -> None:
    assert len(list(find_forbidden_imports(source, module))) == num_wrong


def test_what_snakemake_parses_in_every_job_loads_no_torch() -> None:
    light = [
        name
        for name in map(module_name, python_files(*PACKAGES))
        if any(within(name, prefix) for prefix in NO_TORCH) and not name.endswith("__main__")
    ]
    program = (
        "import importlib, json, sys\n"
        "heavy = {}\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        "    for top in ('torch', 'tensorflow', 'mlflow'):\n"
        "        if top in sys.modules: heavy.setdefault(top, name)\n"
        "print(json.dumps(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {}


def test_no_pickles_and_no_shells() -> None:
    wrong = []
    for path in python_files(*CODE):
        source = path.read_text()
        where = path.relative_to(ROOT)
        wrong += [f"{where}:{call}" for call in find_unsafe_calls(source)]
        if where.parts[0] != "tests":  # tests write the pickles that the code has to refuse
            tops = {name.split(".")[0] for name in find_imports(source)}
            wrong += [f"{where}: imports {name}" for name in sorted(tops & PICKLES)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "num_wrong"),
    [
        ("np.load(path, allow_pickle=False)", 0),
        ("np.load(path, allow_pickle=True)", 1),
        ("np.load(path, allow_pickle=trusted)", 1),
        ("torch.load(path, map_location='cpu', weights_only=True)", 0),
        ("torch.load(path)", 1),
        ("torch.load(path, weights_only=False)", 1),
        ("subprocess.run(command)", 0),
        ("subprocess.run(command, shell=True)", 1),
        ("os.system(command)", 1),
        ("from eval.metrics.fid import compute_fid", 0),
        ("import eval.metrics.fid", 1),
    ],
)
def test_the_call_rule_sees_what_it_should(source: str, num_wrong: int) -> None:
    assert len(list(find_unsafe_calls(source))) == num_wrong


def test_files_are_named_after_what_they_hold() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    names = [path.relative_to(ROOT) for path in python_files(*CODE)]
    assert [str(path) for path in names if vague & set(path.with_suffix("").parts)] == []


def test_files_stay_short() -> None:
    files = [*python_files(*CODE), *(ROOT / "workflow").rglob("*.smk")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_every_module_says_what_it_holds() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in python_files(*PACKAGES, "bench")
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_nothing_is_left_unfinished() -> None:
    left = [
        f"{path.relative_to(ROOT)}:{stub}"
        for path in python_files(*CODE)
        for stub in find_stubs(path.read_text())
    ]
    assert not left, "\n".join(left)
    assert (
        len(list(find_stubs("x = 1  # TODO: more\n\ndef f():\n    raise NotImplementedError\n")))
        == 2
    )
