"""What jobs record beside their own words."""

from workflow.job_events import tag_events, tag_paper
from workflow.settings import load_plan


def test_the_papers_values_go_with_the_batch_that_stands_for_a_cell():
    plan = load_plan({"scale": "digits", "source": "retrain"})
    tag = "paper=fid=4.59,is=186.7,precision=0.82,recall=0.52,sfid=5.25"
    assert tag_paper(plan, "t3_cond_guided_1") == ["--tag", tag]
    assert tag_paper(plan, "t3_cond_guided_1-seed1") == ["--tag", tag]
    # Table 1 prints differences, and rows of figures are not the paper's.
    assert tag_paper(plan, "t1_heads-700K") == tag_paper(plan, "f4_cond_2") == []
    assert "--tag" in tag_events(plan, "t3_cond_guided_1")
