"""Martens 2010: the CURVES autoencoder, its plateau, and the way off it."""

from minihf.experiments.claims import Ahead, GetsBelow, NeverRises
from minihf.experiments.studies.study import Study

HF, HOUSE = "martens2010", "minihf"

STUDY = Study(
    title="HF on the CURVES autoencoder",
    source="Martens, ICML 2010, and the author's code",
    says="The error stays near that of the mean image for some twenty updates, then falls to a "
    "hundredth of it; the objective on the training data never rises.",
    task="autoencoder-curves-logistic",
    methods=(HF, HOUSE),
    claims=(
        NeverRises(HF),
        GetsBelow(HF, 8.0, "half of the mean image's error"),
        Ahead(HOUSE, HF, "seconds"),
    ),
    seconds=115,
    cases=1000,
    remark="On 1,000 of the 20,000 strokes. The plateau is there, between 15.9 and 15 for twenty "
    "to sixty updates, and the way off it; the author's log, on all strokes, goes on from "
    "there to 0.1. The house method is off the plateau in seconds, and then learns the "
    "thousand by heart, as its test error says.",
)
