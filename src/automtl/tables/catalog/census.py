"""Census-Income (KDD): persons of US surveys of 1994 and 1995; the set of the MMoE paper (Ma et al., KDD 2018)."""

from __future__ import annotations

import polars as pl

from automtl.tables.catalog.base import Column, Dataset, Files, Form, RawFile, Recipe
from automtl.tables.catalog.parts import categorical, numeric, splits
from automtl.tables.schema import Schema, Task

NAMES = (  # noqa: SIM905
    "age class_worker det_ind_code det_occ_code education wage_per_hour hs_college marital_stat major_ind_code "
    "major_occ_code race hisp_origin sex union_member unemp_reason full_or_part_emp capital_gains capital_losses "
    "stock_dividends tax_filer_stat region_prev_res state_prev_res det_hh_fam_stat det_hh_summ instance_weight "
    "mig_chg_msa mig_chg_reg mig_move_reg mig_same mig_prev_sunbelt num_emp fam_under_18 country_father "
    "country_mother country_self citizenship own_or_self vet_question vet_benefits weeks_worked year income_50k"
).split()  # fmt: skip
NUMBERS = ("age", "wage_per_hour", "capital_gains", "capital_losses", "stock_dividends", "num_emp", "weeks_worked")
INCOMES = ("- 50000.", "50000+.")
COLLEGE = (
    "Some college but no degree", "Associates degree-occup /vocational", "Associates degree-academic program",
    "Bachelors degree(BA AB BS)", "Masters degree(MA MS MEng MEd MSW MBA)", "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
)  # fmt: skip
FILES = {"train": "census-income.data", "test": "census-income.test"}
COLUMNS = tuple(
    Column(
        name,
        pl.Float64 if name in (*NUMBERS, "instance_weight") else pl.String,
        values=INCOMES if name == "income_50k" else (),
    )
    for name in NAMES
)
LABELS = {
    "label_income": pl.col("income_50k") == INCOMES[1],
    "label_never_married": pl.col("marital_stat") == "Never married",
    "label_some_college": pl.col("education").is_in(COLLEGE),
}
TASKS = {"income": ("label_income", "label_never_married"), "education": ("label_some_college", "label_never_married")}
MADE_OF = {"label_income": "income_50k", "label_never_married": "marital_stat", "label_some_college": "education"}
OUTCOMES = ("instance_weight", "income_50k", "marital_stat")


def _build(files: Files, variant: str) -> Recipe:
    tasks = TASKS[variant]
    apart = {*OUTCOMES, *(MADE_OF[task] for task in tasks)}
    codes = [name for name in NAMES if name not in apart and name not in NUMBERS]
    rows = splits({part: files[name] for part, name in FILES.items()})
    rows = rows.with_columns(LABELS[task].cast(pl.Int8).alias(task) for task in tasks)
    return rows, Schema(categorical(*codes) + numeric(*NUMBERS), tuple(map(Task, tasks)), split="split")


CENSUS = Dataset(
    "Census-Income (KDD)",
    "The UCI Machine Learning Repository publishes it at archive.ics.uci.edu/dataset/117 as census.tar.gz.",
    "CC BY 4.0",
    "Two tasks (see the variants), made of columns that are no inputs then. The weight of a person and the income"
    " are never inputs. The given test rows, and 20 % of the training rows for validation (drawn by fit).",
    (Form(tuple(RawFile(name, COLUMNS, separator=", ") for name in FILES.values()), _build),),
    {name: {"rows": 299_285} for name in TASKS},
    OUTCOMES,
    {
        "income": "income above 50,000, and never married",
        "education": "at least some college, and never married; education is no input",
    },
)
