"""Zhang et al. 2017: one block, the paper's two, one for each layer, one for each parameter."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study
from minihf.experiments.studies.zhang2017 import BHF, HF, HOUSE, SMALL, SOURCE

LAYERS, PARAMETERS = f"{BHF}:blocks=layer", f"{BHF}:blocks=param"

STUDY = Study(
    title="Block partitions",
    source=SOURCE,
    says="Smaller blocks leave out more of the matrix, and CG does more for each of them.",
    task="autoencoder-mnist",
    at=SMALL,
    methods=(HF, BHF, LAYERS, PARAMETERS, f"{HOUSE}:blocks=network", HOUSE),
    claims=(
        Ahead(BHF, HF, "updates"),
        Ahead(LAYERS, BHF, "updates"),
        Ahead(LAYERS, BHF, "seconds"),
        Ahead(PARAMETERS, LAYERS, "updates"),
        Ahead(PARAMETERS, LAYERS, "seconds"),
        Ahead(HOUSE, f"{HOUSE}:blocks=network", "seconds"),
    ),
    seconds=20,
    remark="A block for each layer is ahead of the paper's two halves, by updates and by seconds. "
    "Weights apart from biases gain nothing more. For the house method the partition "
    "hardly matters: its directions come from Kronecker factors, which go by layers in any "
    "case.",
)
