"""Chen et al. 2018: curvature made positive, where SGD stands still."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study

PCH, CLIP = "chen2018", "chen2018:curvature.mode=clip"

STUDY = Study(
    title="EA-CG on the positive-curvature Hessian",
    source="Chen, Chou & Chang, AAAI 2019, arXiv 1802.06502",
    says="On fully connected sigmoid networks the positive-curvature Hessian, averaged over the "
    "cases, trains faster than SGD with momentum, by absolute values as by clipping.",
    task="deep-sigmoid",
    methods=(PCH, CLIP, "sgd", "adam", "minihf"),
    claims=(
        Ahead(PCH, "sgd", "updates"),
        Ahead(PCH, "sgd", "seconds"),
        Ahead(PCH, "sgd", "seconds", "test"),
        Ahead(PCH, "adam", "seconds"),
    ),
    seconds=20,
    remark="Faster than SGD by updates and by seconds, as the paper says, and about the same by "
    "clipping. It overfits: the test errors are SGD's. Adam and the house method are ahead "
    "of both.",
)
