"""Which rows have which source at the paper's scale, which jobs that takes, and what is refused."""

import resource

import pytest
import yaml

from records.errors import UserError
from records.files import digest
from specs.page import KnownMetrics, PageLink
from tests.workflow.conftest import ROOT, snakemake
from tests.workflow.test_snakefile import job_counts
from workflow.availability import SOURCES, list_artefacts
from workflow.graph import Graph
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec, table_inputs

PLANS = {source: load_plan({"scale": "paper", "source": source}) for source in SOURCES}
RESCORE, RESAMPLE, RETRAIN = (PLANS[source] for source in SOURCES)


def list_rows(plan, table):
    return [row_id for row_id in plan.tables[table].rows if row_id not in plan.absent]


def test_rows_say_that_samples_were_released_where_they_are_listed():
    rows = {key: row for table in RETRAIN.tables.values() for key, row in table.rows.items()}
    assert {key for key, row in rows.items() if row.released} == set(RETRAIN.released.samples)


def test_rescore_has_the_rows_whose_samples_were_published():
    assert list_rows(RESCORE, "table3") == ["t3_cond", "t3_cond_guided_1"]
    assert list_rows(RESCORE, "table5") == list(RESCORE.tables["table5"].rows)
    graded = list_rows(RESCORE, "table4")
    assert len(graded) == 23 and "t4_64_adm" in graded and "t4_64_adm_dropout" not in graded
    baselines = [row_id for row_id in graded if RESCORE.tables["table4"].rows[row_id].model is None]
    assert len(baselines) == 9
    cells = RESCORE.cells
    assert cells["t3_cond"] == cells["t4_256_adm"] == cells["t5_256_adm"]
    assert cells["t3_cond_guided_1"] == cells["t5_256_admg"]
    assert RESCORE.models == {} and RESCORE.datasets == {}
    assert set(RESCORE.shown_tables) == {
        "table3", "table4", "table5", "early_stopping_imagenet_256", "lsun_schedules_applied",
    }  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_pages_lead_to_the_tables_that_a_source_has(source):
    plan = PLANS[source]
    pages = make_table_spec(plan, "table4").pages
    assert [page.name for page in pages] == plan.shown_tables
    assert ("table1" in plan.shown_tables) == (source == "retrain")
    assert PageLink(name="table4", title="Table 4: State of the art") in pages


@pytest.mark.parametrize("source", SOURCES)
def test_pages_say_that_claims_on_trained_models_stay_open(source):
    """As long as the paper's scale trains every model once."""
    assert all(len(model.seeds) == 1 for model in PLANS[source].scale.models.values())
    notes = " ".join(make_table_spec(PLANS[source], "table4").scale_notes)
    assert "Claims that compare differently trained models are therefore inconclusive" in notes


def test_resample_has_the_rows_whose_weights_were_published():
    assert list_rows(RESAMPLE, "table3") == list(RESAMPLE.tables["table3"].rows)
    drawn = list_rows(RESAMPLE, "table4")
    assert "t4_64_adm_dropout" in drawn and "t4_64_adm" not in drawn
    assert all(RESAMPLE.tables["table4"].rows[row_id].model for row_id in drawn)
    assert set(RESAMPLE.tables["table5"].rows) - set(list_rows(RESAMPLE, "table5")) == {
        "t5_512_admg_admu"
    }
    assert RESAMPLE.datasets == {}
    assert len(RESAMPLE.models) == len(RESAMPLE.released.checkpoints)
    assert not set(RESAMPLE.models) & set(RESAMPLE.released.never_released)


def test_a_source_never_shares_a_spec_with_another():
    digests = [{batch.digest for batch in plan.samples.values()} for plan in PLANS.values()]
    assert not digests[0] & digests[1] and not digests[1] & digests[2]
    folders = {plan.layout.metrics(plan.cells["t3_cond"]) for plan in PLANS.values()}
    assert len(folders) == 3


@pytest.mark.parametrize(
    ("source", "row_id", "words"),
    [
        ("rescore", "t3_uncond", "no samples of this row were published; the weights behind it"),
        ("rescore", "t4_64_adm_dropout", "the published samples of ImageNet 64 are those of the"),
        ("rescore", "t4_128_logan", "quoted by the authors from an earlier paper"),
        ("rescore", "t1_baseline", "source=retrain makes it"),
        ("resample", "t4_64_adm", "imagenet_64_nodropout: the published 64x64 weights are the mod"),
        ("resample", "t5_512_admg_admu", "classifier_128_stack: the classifier of the 128 to 512"),
        ("resample", "t5_512_admg_admu", "source=rescore grades its published samples"),
        ("resample", "t6_addition", "the ablation models of Tables 1, 2 and 6 were not published"),
        ("resample", "t4_256_biggandeep", "can be graded (source=rescore)"),
        ("retrain", "t4_256_biggandeep", "can be graded (source=rescore)"),
    ],
)
def test_a_row_without_a_source_says_why(source, row_id, words):
    plan = PLANS[source]
    assert words in plan.absent[row_id]
    table = next(name for name, table in plan.tables.items() if row_id in table.rows)
    rows = {row.id: row for row in make_table_spec(plan, table).rows}
    assert words in rows[row_id].reason
    assert rows[row_id].cells[plan.tables[table].marks[-1]].metrics is None


def test_references_are_the_published_ones_whatever_the_source():
    for plan, cell in ((RESCORE, "t4_64_adm"), (RESAMPLE, "t4_64_adm_dropout")):
        (reference,) = Graph(plan).describe(("evaluate", plan.cells[cell])).reads["reference"]
        assert reference.file == (
            "results/paper/released/ref_batches/imagenet/64/VIRTUAL_imagenet64_labeled.npz"
        )
    for plan in PLANS.values():
        spec = plan.reference_spec("imagenet_64")
        assert "dataset" not in spec and "reference_images" not in spec
    (reference,) = Graph(load_plan({})).describe(("evaluate", "t4_64_adm")).reads["reference"]
    assert reference == (
        "results/digits/references/imagenet_64.npz", "results/digits/references/imagenet_64.json"
    )  # fmt: skip


def test_only_retraining_asks_for_images():
    for plan in (RESCORE, RESAMPLE):
        inputs = table_inputs(plan, "table4")
        assert inputs["ceilings"] == inputs["accuracies"] == []
    assert len(table_inputs(RETRAIN, "table4")["ceilings"]) == 7


def test_pages_name_the_published_files_with_their_licence():
    files = make_table_spec(RESCORE, "table3").artefacts
    assert [file.url.rpartition("/")[2] for file in files] == [
        "VIRTUAL_imagenet256_labeled.npz", "admnet_imagenet256.npz",
        "admnet_guided_imagenet256.npz",
    ]  # fmt: skip
    assert files[0].used_for == ["reference of imagenet_256"]
    assert all("not commercial" in file.licence for file in files)
    files = make_table_spec(RESAMPLE, "table5").artefacts
    stack = next(file for file in files if file.url.endswith("64_256_upsampler.pt"))
    assert stack.used_for == ["ADM, ADM-U", "ADM-G, ADM-U"]
    base = next(file for file in files if file.url.endswith("64x64_classifier.pt"))
    assert base.used_for == ["ADM-G, ADM-U"]
    assert make_table_spec(load_plan({}), "table3").artefacts == []
    assert len(list_artefacts(RESCORE.released)) == 15 + 7 + 27 + 1


def test_the_known_evaluation_is_shown_where_its_batch_is_graded():
    known = RESCORE.released.known_evaluation
    found = make_table_spec(RESCORE, "table5").known_evaluation
    assert found == KnownMetrics(row="t5_256_admg_admu", values=known.values)
    assert found.values["fid"] == 3.9425574129223264
    for plan, table in ((RESCORE, "table3"), (RESCORE, "table4"), (RESAMPLE, "table5")):
        assert make_table_spec(plan, table).known_evaluation is None
    assert make_table_spec(RETRAIN, "table5").known_evaluation is None
    assert make_table_spec(load_plan({}), "table5").known_evaluation is None


def test_claims_are_tested_by_sources_that_have_all_their_rows():
    sources = {
        claim.id: claim.sources
        for name in ("table3", "table5")
        for claim in make_table_spec(RESCORE, name).claims
    }
    assert sources["t5_256_both_best"] == ["rescore", "resample", "retrain"]
    assert sources["t5_512_both_best"] == ["rescore", "retrain"]
    assert all("rescore" not in s for key, s in sources.items() if key.startswith("t3_uncond"))


def test_what_published_files_settle_is_not_assumed():
    rows = {row.id: row for row in make_table_spec(RETRAIN, "table3").rows}
    assert rows["t3_uncond"].assumed
    rows = {row.id: row for row in make_table_spec(RESAMPLE, "table3").rows}
    assert rows["t3_uncond"].assumed == []
    rows = {row.id: row for row in make_table_spec(RESAMPLE, "table5").rows}
    assert rows["t5_256_admg_admu"].assumed == ["guidance scale of the base"]


def test_other_sources_stand_beside_where_there_is_something_to_compare():
    cells = {row.id: row.cells for row in make_table_spec(RETRAIN, "table4").rows}
    assert list(cells["t4_256_adm"]["final"].others) == ["rescore", "resample"]
    assert list(cells["t4_64_adm"]["final"].others) == ["rescore"]
    assert cells["t4_256_dctransformer"]["final"].others == {}
    other = cells["t4_256_adm"]["final"].others["rescore"]
    assert other.path == RESCORE.layout.metrics("t3_cond")
    assert other.digest == digest(RESCORE.metric_spec("t3_cond"))  # as its own job writes it
    rows = make_table_spec(load_plan({}), "table4").rows
    assert all(cell.others == {} for row in rows for cell in row.cells.values())


@pytest.mark.parametrize(
    ("source", "target", "counts"),
    [
        pytest.param(
            "rescore", "reproduce_table3", {"fetch_npz": 3, "evaluate": 2},
            marks=pytest.mark.slow,
        ),
        ("rescore", "reproduce_table4", {"fetch_npz": 30, "evaluate": 23, "network": 1}),
        pytest.param(
            "rescore", "reproduce_table5", {"fetch_npz": 10, "evaluate": 8},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "rescore", "reproduce_all", {"fetch_npz": 34, "evaluate": 27, "table": 5},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "resample", "reproduce_table3", {"fetch_pt": 3, "import_weights": 3, "sample": 6},
            marks=pytest.mark.slow,
        ),
        (
            "resample", "reproduce_table4",
            {"fetch_npz": 7, "fetch_pt": 11, "import_weights": 11, "sample": 14, "evaluate": 14},
        ),
        pytest.param(
            "resample", "reproduce_table5",
            {"fetch_npz": 2, "fetch_pt": 9, "import_weights": 9, "sample": 10, "evaluate": 7},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "resample", "reproduce_all", {"fetch_pt": 15, "import_weights": 15, "table": 7},
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_jobs_of_a_target(tmp_path, source, target, counts):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = snakemake(
        ROOT, "--dry-run", "--quiet", "rules",
        "--config", "scale=paper", f"source={source}", f"results={tmp_path}", "--", target,
    )  # fmt: skip
    got = job_counts(process)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # not the clock: others may be busy here
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15
    assert {name: got.get(name, 0) for name in counts} == counts
    assert not {"train", "prepare", "dataset", "ceiling", "accuracy", "reference"} & set(got)
    assert "own images are missing" not in process.stdout + process.stderr


@pytest.mark.parametrize(
    ("source", "table", "words"),
    [
        ("rescore", "1", "error: table1: no row of it has source rescore: no samples of this row"),
        pytest.param(
            "resample", "6", "error: table6: no row of it has source resample: no published weigh",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_a_table_without_a_source_is_refused_in_one_line(tmp_path, source, table, words):
    process = snakemake(
        ROOT, "-n", "--config", "scale=paper", f"source={source}", f"results={tmp_path}",
        "--", f"reproduce_table{table}",
    )  # fmt: skip
    output = process.stdout + process.stderr
    assert process.returncode != 0 and "Traceback" not in output
    assert words in output and "source=retrain makes it" in output


def test_a_scale_with_its_own_images_has_nothing_published():
    with pytest.raises(UserError, match="source rescore at scale digits: the authors published"):
        load_plan({"source": "rescore"})
    with pytest.raises(UserError, match="needed: one of rescore, resample, retrain"):
        load_plan({"scale": "paper", "source": "rescored"})


def test_published_references_need_their_network(tmp_path):
    scale = yaml.safe_load((ROOT / "params" / "scales" / "digits.yaml").read_text())
    scale["evaluation"]["reference"] = "released"
    path = tmp_path / "scale.yaml"
    path.write_text(yaml.safe_dump(scale))
    with pytest.raises(UserError, match="needs network: kind: inception"):
        load_plan({"scale": str(path)})


def test_a_task_without_a_published_reference_is_named(tmp_path):
    released = yaml.safe_load((ROOT / "params" / "released.yaml").read_text())
    del released["references"]["imagenet_512"]
    path = tmp_path / "released.yaml"
    path.write_text(yaml.safe_dump(released))
    with pytest.raises(UserError, match="no reference of imagenet_512 is among the published"):
        load_plan({"scale": "paper", "released": str(path)})
