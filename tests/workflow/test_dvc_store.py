"""Where finished results are pushed to: a folder by default; what is wrong with it is said."""

import shutil

import pytest

from tests.workflow.dvc_case import commit, dvc, git, lock, make_clone, run

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow
SEALED = ("report", "retrain", "shared")
FILES = {
    "results/mini/data/imagenet_64.zip": b"images",
    "results/mini/retrain/samples/t3_cond/samples.npz": b"samples",
    "results/mini/report/index.html": b"a page",
}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A clone whose results are sealed and committed, not pushed."""
    folder = make_clone(tmp_path_factory.mktemp("sealed") / "project")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    run(folder, "python", "-m", "workflow", "seal", "--scale", "mini")
    commit(folder)
    return folder


@pytest.fixture
def project(sealed, tmp_path):
    """A copy of it."""
    shutil.copytree(sealed, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def make_second(project, url):
    """Clone a project and say where its results are."""
    clone = project.parent / "second"
    git(project.parent, "clone", "--quiet", str(project), str(clone))
    dvc(clone, "remote", "modify", "--local", "store", "url", str(url))
    return clone


def test_a_folder_of_the_project_is_the_store_until_another_is_named(project):
    dvc(project, "push")
    store = project / "dvc-store"
    objects = [path for path in store.rglob("*") if path.is_file() and path.suffix != ".dir"]
    assert sorted(path.read_bytes() for path in objects) == sorted(FILES.values())
    assert git(project, "status", "--porcelain") == ""
    clone = make_second(project, store)
    dvc(clone, "pull", "--allow-missing")
    assert {name: (clone / name).read_bytes() for name in FILES} == FILES


def test_a_damaged_file_in_the_store_is_not_pulled(project):
    dvc(project, "push")
    (damaged,) = (
        path
        for path in (project / "dvc-store").rglob("*")
        if path.is_file() and path.read_bytes() == b"samples"
    )
    damaged.chmod(0o644)
    damaged.write_bytes(b"another")
    clone = make_second(project, project / "dvc-store")
    output = dvc(clone, "pull", *(f"artefacts/mini/{name}.dvc" for name in SEALED), code=1)
    assert "ERROR: failed to pull data from the cloud - Checkout failed" in output
    assert "results/mini/retrain/samples" in output and "Traceback" not in output
    dvc(clone, "pull", "--allow-missing")
    assert not (clone / "results/mini/retrain/samples/t3_cond/samples.npz").exists()
    assert (clone / "results/mini/data/imagenet_64.zip").read_bytes() == b"images"


def test_a_store_that_is_not_there_is_named(project):
    clone = make_second(project, project.parent / "nowhere")
    output = dvc(clone, "pull", code=1)
    assert "ERROR: failed to pull data from the cloud - Checkout failed" in output
    assert "Traceback" not in output
    assert not any(path.is_file() for path in (clone / "results").rglob("*"))


def test_a_bucket_without_keys_or_that_is_not_there_is_named(project):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    keys = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1"}
    keys |= {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
    try:
        host, port = server.get_host_and_port()
        for key, value in (("url", "s3://nobody/adm"), ("endpointurl", f"http://{host}:{port}")):
            dvc(project, "remote", "modify", "--local", "store", key, value)
        assert "Unable to locate credentials" in dvc(project, "push", code=1, **keys)
        keys |= {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "a-secret"}
        output = dvc(project, "push", code=1, **keys)
        assert "The specified bucket does not exist" in output and "a-secret" not in output
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            lambda folder: shutil.rmtree(folder / "results"),
            "error: results/mini: no results yet; run some jobs first, such as `make table3`",
        ),
        (
            lambda folder: shutil.rmtree(folder / ".dvc"),
            "error: DVC refused (ERROR: you are not inside of a DVC repository",
        ),
        (lock, "is making results here; wait until it has ended"),
    ],
)
def test_what_cannot_be_sealed_is_said_in_a_line(project, wrong, words):
    wrong(project)
    output = run(project, "python", "-m", "workflow", "seal", "--scale", "mini", code=2)
    assert words in output and "Traceback" not in output and len(output.splitlines()) == 1
