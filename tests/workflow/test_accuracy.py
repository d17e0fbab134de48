"""Which classifiers a table shows the accuracy of, and what that depends on."""

import pytest

from specs.page import GuidedRow
from tests.workflow.conftest import ROOT, snakemake
from workflow.accuracy import find_classifiers, make_accuracy_spec
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec, table_inputs


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


def names(plan, table):
    return [one.name for one in make_table_spec(plan, table).classifiers]


def test_tables_show_the_classifiers_that_guide_their_rows(plan):
    assert names(plan, "table3") == ["classifier_256"]
    assert set(names(plan, "table4")) == {"classifier_128", "classifier_256", "classifier_512"}
    assert set(names(plan, "table5")) == {
        "classifier_256",
        "classifier_512",
        "classifier_64",
        "classifier_128_stack",
    }
    for table in ("table1", "table2", "table6"):
        assert names(plan, table) == []


def test_a_stack_is_guided_by_the_classifier_of_its_base(plan):
    assert [one.name for one in find_classifiers(plan, "t5_256_admg_admu")] == ["classifier_64"]
    assert find_classifiers(plan, "t5_256_adm_admu") == []
    classifiers = make_table_spec(plan, "table5").classifiers
    entry = next(one for one in classifiers if one.name == "classifier_64")
    assert entry.rows == [GuidedRow(task="imagenet_256", label="ADM-G, ADM-U")]
    assert entry.task == "imagenet_64" and entry.task_words == "4×4 digits, all classes"


def test_a_page_is_made_from_the_accuracy_of_its_classifiers(plan):
    path = "results/digits/retrain/models/classifier_256/accuracy-final.json"
    assert plan.layout.accuracy("classifier_256", "final").file == path
    assert table_inputs(plan, "table3")["accuracies"] == [path]
    (entry,) = make_table_spec(plan, "table3").classifiers
    assert entry.accuracy == path and entry.iteration == 400
    assert [row.label for row in entry.rows] == [
        row.label
        for row in plan.tables["table3"].rows.values()
        if row.sampler is not None and row.sampler.classifier
    ]


def test_the_spec_names_the_very_weights_that_guide(plan):
    spec = make_accuracy_spec(plan, "classifier_256", "final")
    assert spec.classifier == plan.drawn("t3_cond_guided_1").classifier
    assert spec.dataset == plan.models["classifier_256"].training.dataset
    assert spec.classifier.digest == plan.models["classifier_256"].digest


@pytest.mark.parametrize(
    ("target", "count"), [("table3", 1), ("table4", 3), ("table5", 4), ("table6", 0)]
)
def test_one_job_for_each_classifier(tmp_path, target, count):
    arguments = ["--dry-run", "--quiet", "rules", "--config", f"results={tmp_path}", "--"]
    process = snakemake(ROOT, *arguments, f"reproduce_{target}")
    assert process.returncode == 0, process.stderr
    lines = [line.split() for line in (process.stdout + process.stderr).splitlines()]
    counts = {int(line[1]) for line in lines if len(line) == 2 and line[0] == "accuracy"}
    assert counts == ({count} if count else set())
