"""Wiesler et al. 2013: a deep classifier on which stochastic gradient descent comes to a halt."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study

CAREFUL = "sgd:lr=0.01:batch=128"

STUDY = Study(
    title="HF for cross-entropy training",
    source="Wiesler, Li & Xue, Interspeech 2013",
    says="Stochastic gradient descent improves fast, then stagnates and falsely indicates "
    "convergence; HF does not.",
    task="deep-sigmoid",
    methods=("wiesler2013", "sgd", CAREFUL, "adam", "minihf"),
    claims=(
        Ahead("wiesler2013", CAREFUL, "data_passes"),
        Ahead("wiesler2013", CAREFUL, "seconds"),
        Ahead("wiesler2013", "sgd", "data_passes"),
        Ahead("wiesler2013", "sgd", "seconds"),
    ),
    seconds=20,
    remark="With four layers SGD does not come to a halt: it is behind, by passes and by seconds, "
    "and still improves when the time is up. The page of the system has a deeper network "
    "on which it does. Adam and the house method are ahead of both.",
)
