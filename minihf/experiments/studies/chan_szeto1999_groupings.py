"""Chan & Szeto 1999: exact solutions in small groups of a recurrent network's weights."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study

UNITS = "chan_szeto1999"
LAYERS, ONE = f"{UNITS}:blocks=layer", f"{UNITS}:blocks=network"

STUDY = Study(
    title="Block-diagonal Levenberg-Marquardt and its groupings",
    source="Chan & Szeto, IJCNN 1999",
    says="Groups of weights make Levenberg-Marquardt affordable for recurrent networks; a group "
    "after the other, errors evaluated in between, they lose little.",
    task="temporal-order",
    methods=(UNITS, LAYERS, ONE, "adam", "minihf"),
    claims=(
        Ahead(UNITS, ONE, "updates"),
        Ahead(UNITS, ONE, "seconds"),
        Ahead(UNITS, LAYERS, "seconds"),
        Ahead(UNITS, "adam", "seconds"),
    ),
    seconds=12,
    remark="Blocks of five units solve the task from every seed, and so does the house method; "
    "larger blocks and Adam do from some. Each of them comes to no errors at all from at "
    "least one seed, so that no order of all runs is possible. A run that gave up has "
    "converged: no step changes a parameter any more.",
)
