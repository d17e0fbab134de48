"""Where finished results are pushed to: a folder by default; what is wrong with it is said."""

import shutil

import pytest

from tests.workflow.dvc_case import RESULTS, SEALED, dvc, git, make_sealed, make_second

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A clone whose results are sealed and committed, not pushed."""
    return make_sealed(tmp_path_factory.mktemp("sealed") / "project")


@pytest.fixture
def project(sealed, tmp_path):
    """A copy of it."""
    shutil.copytree(sealed, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def test_a_folder_of_the_project_is_the_store_until_another_is_named(project):
    dvc(project, "push")
    store = project / "dvc-store"
    objects = [path for path in store.rglob("*") if path.is_file() and path.suffix != ".dir"]
    assert sorted(path.read_bytes() for path in objects) == sorted(RESULTS.values())
    assert git(project, "status", "--porcelain") == ""
    clone = make_second(project, store)
    dvc(clone, "pull", *SEALED)
    assert {name: (clone / name).read_bytes() for name in RESULTS} == RESULTS


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
    output = dvc(clone, "pull", *SEALED, code=1)
    assert "ERROR: failed to pull data from the cloud - Checkout failed" in output
    assert "results/mini/retrain/samples" in output and "Traceback" not in output
    assert not (clone / "results/mini/retrain/samples/t3_cond/samples.npz").exists()
    assert (clone / "results/mini/data/imagenet_64.zip").read_bytes() == b"images"


def test_a_store_that_is_not_there_is_named(project):
    clone = make_second(project, project.parent / "nowhere")
    output = dvc(clone, "pull", *SEALED, code=1)
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
