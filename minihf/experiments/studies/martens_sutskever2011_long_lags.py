"""Martens & Sutskever 2011: structural damping, and recurrent networks with long lags."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study

STRUCTURAL, PLAIN = "martens_sutskever2011", "martens_sutskever2011:structural.mu=0"
STRONG = "martens_sutskever2011:structural.mu=1"

STUDY = Study(
    title="Structural damping and long lags",
    source="Martens & Sutskever, ICML 2011",
    says="HF trains recurrent networks on long lags that gradient descent cannot bridge, and "
    "structural damping makes it reliable.",
    task="temporal-order",
    methods=(PLAIN, STRUCTURAL, STRONG, "adam", "minihf"),
    claims=(
        Ahead(STRUCTURAL, PLAIN, "updates"),
        Ahead(STRUCTURAL, PLAIN, "seconds", "test"),
        Ahead(STRUCTURAL, "adam", "seconds", "test"),
    ),
    seconds=15,
    remark="Here a run solves the task or learns its sequences by heart, and from which seeds it "
    "does which is luck: nothing is decided by three. With short lags structural damping "
    "shows what it does: see the page of the system.",
)
