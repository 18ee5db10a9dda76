"""Methods with settings of one's own, in a word."""

from dataclasses import replace

import pytest

from minihf.curvature import GGN, Hessian
from minihf.experiments.methods import METHODS
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import PARTS, variant
from minihf.optim import ConjugateGradients, Linear, MaxNorm, PositiveCurvature, papers


@pytest.mark.parametrize("name", METHODS)
def test_a_bare_name_is_the_method_itself(name):
    assert variant(METHODS, name) == METHODS[name]


def test_only_what_the_word_says_is_changed():
    adam, bhf = METHODS["adam"], METHODS["zhang2017"]
    assert variant(METHODS, "adam:lr=2e-3:batch=512") == replace(
        adam, label="Adam, lr=2e-3, batch=512", opt=replace(adam.opt, lr=2e-3), batch_size=512
    )
    deep = variant(METHODS, "zhang2017:solver.max_iters=3:damping.initial=1").opt
    assert deep == replace(
        bhf.opt,
        solver=replace(bhf.opt.solver, max_iters=3),
        damping=replace(bhf.opt.damping, initial=1.0),
    )
    deeper = variant(METHODS, "zhang2017:solver.stop.tolerance=0.1").opt
    assert deeper.solver.stop == replace(bhf.opt.solver.stop, tolerance=0.1)


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("sgd:nesterov=true", "nesterov", True),
        ("minihf:blocks=network", "blocks", "network"),
        ("minihf:blocks='network'", "blocks", "network"),
        ("minihf:preconditioner=none", "preconditioner", None),
        ("chan_szeto1999:blocks=param", "blocks", "param"),
        ("adam:lr=1", "lr", 1.0),
    ],
)
def test_a_value_is_a_number_a_truth_value_none_or_a_name(word, field, value):
    found = getattr(variant(METHODS, word).opt, field)
    assert found == value
    assert type(found) is type(value)


def test_a_batch_of_none_is_all_cases():
    assert variant(METHODS, "minihf:batch=none").batch_size is None


def test_a_curvature_has_settings_too():
    clipped = variant(METHODS, "chen2018:curvature.mode=clip:curvature.averaged=false").opt
    assert clipped == papers.chen2018(mode="clip", averaged=False)
    with pytest.raises(ValueError, match="mode must be one of identity, abs, clip, zero"):
        variant(METHODS, "chen2018:curvature.mode=abc")


def test_a_part_is_replaced_by_another_one_by_name():
    bare = variant(METHODS, "minihf:solver=ConjugateGradients:solver.max_iters=2")
    assert bare.opt.solver == ConjugateGradients(2)
    assert variant(METHODS, "minihf:preconditioner=none").opt.preconditioner is None
    assert variant(METHODS, "adam:projection=MaxNorm").opt.projection == MaxNorm()
    assert variant(METHODS, "adam-linear:lr.updates=70").opt.lr == Linear(1e-3, 0.0, updates=70)


def test_every_part_that_can_be_named_stands_alone():
    for kinds in PARTS.values():
        for kind in kinds:
            assert isinstance(kind(), kind)


def test_a_curvature_is_replaced_by_name():
    assert variant(METHODS, "chen2018:curvature=GGN").opt.curvature is GGN
    assert variant(METHODS, "zhang2017:curvature=Hessian").opt.curvature is Hessian
    word = "zhang2017:curvature=PositiveCurvature:curvature.mode=clip"
    assert variant(METHODS, word).opt.curvature == PositiveCurvature("clip")


@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("chen2018:curvature=hf.GGN", "chen2018:curvature=GGN"),
        ("minihf:solver=ConjugateGradients()", "minihf:solver=ConjugateGradients"),
    ],
)
def test_what_an_error_advises_in_python_can_be_typed(word, same):
    assert variant(METHODS, word).opt == variant(METHODS, same).opt


def test_blocks_of_a_task_are_replaced_by_a_name_alone():
    methods = TASKS["autoencoder-mnist"].methods
    assert variant(methods, "zhang2017:blocks=layer").opt.blocks == "layer"
    with pytest.raises(ValueError, match="must be network or layer or param, got 'layers'"):
        variant(methods, "zhang2017:blocks=layers")


def test_averaging_is_a_setting_of_the_method():
    assert variant(METHODS, "adam:averaging=0.1").averaging == 0.1
    assert variant(METHODS, "minihf:averaging=none").averaging is None


def test_a_tasks_own_settings_are_what_is_changed():
    methods = TASKS["autoencoder-mnist"].methods
    assert variant(methods, "zhang2017:blocks=network").opt == papers.zhang2017("network")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("adma:lr=1", r"unknown method 'adma'; known: .*did you mean 'adam'\?"),
        ("adam:lrr=1", r"'adam:lrr=1': .*'lrr'; .*averaging \(did"),
        ("adam:batch.x=1", "unknown field of Adam 'batch'; known: lr"),
        ("zhang2017:solver.iters=1", "unknown field of ConjugateGradients 'iters'; known: max_it"),
        ("zhang2017:solver=3", "'solver' of HessianFree is a ConjugateGradients; its own fields: "
         "solver.max_iters, solver.stop"),
        ("adam:lr.x=3", "'lr' of Adam is 0.001, which has no fields"),
        ("adam:lr=fast", "'lr' of Adam must be a number, got 'fast'"),
        ("adam:lr=true", "'lr' of Adam must be a number, got True"),
        ("adam:lr=nan", "'lr' of Adam must be a number"),
        ("adam:lr=inf", "'lr' of Adam must be a number"),
        ("adam:lr=-1", "Adam: lr must be positive, got -1.0"),
        ("sgd:nesterov=1", "'nesterov' of SGD must be true or false, got 1"),
        ("zhang2017:solver.max_iters=1.5", "must be a whole number, got 1.5"),
        ("minihf:update=7", "'update' of HessianFree must be a name, got 7"),
        ("minihf:update=both", "update must be 'simultaneous' or 'sequential', got 'both'"),
        ("minihf:solver=none", "HessianFree: solver is None"),
        ("adam:batch=0", "batch must be a whole number, or none for all cases; got 0"),
        ("adam:batch=many", "got 'many'"),
        ("adam:lr=1e-3:lr=1e-2", "'adam:lr=1e-3:lr=1e-2': 'lr' is set twice"),
        ("adam:batch=9:batch=9", "'batch' is set twice"),
        ("zhang2017:solver.max_iters=3:solver=ConjugateGradients",
         "'solver' would undo 'solver.max_iters'; set it first"),
        ("minihf:averaging=true", r"averaging must be a number in \(0, 1\], or none; got True"),
        ("minihf:solver.max_iters=3",
         "'solver' of HessianFree is a PreconditionerOnly, which has no 'max_iters'; with it: "
         "solver=ConjugateGradients:solver.max_iters=...$"),
        ("minihf:solver.foo=3", "is a PreconditionerOnly, which has no fields"),
        ("adam:projection.foo=3", "'projection' of Adam is None, which has no fields"),
        ("minihf:curvature=Foo", "'curvature' of HessianFree is GGN; its own fields: none; in its "
         "place: PositiveCurvature, GGN, Hessian$"),
        ("minihf:curvature=3", "'curvature' of HessianFree is GGN"),
        ("minihf:blocks=3", "'blocks' of HessianFree must be network or layer or param, got 3"),
        ("minihf:blocks=foo", "must be network or layer or param, got 'foo'"),
        ("zhang2017:solver.record=3", "'record' of ConjugateGradients is a function, and no word"),
        ("adam:averaging=2", r"averaging must be a number in \(0, 1\], or none; got 2"),
        ("minihf:solver=Subspace", "in its place: ConjugateGradients, PreconditionerOnly"),
        ("adam:projection=Kronecker", "'projection' of Adam is None; its own fields: none; in its"),
        ("adam:lr", "expected NAME:FIELD=VALUE such as 'adam:lr=5e-4', got 'adam:lr'"),
        ("adam:=1", "expected NAME:FIELD=VALUE"),
        ("adam:lr=", "expected NAME:FIELD=VALUE"),
        ("minihf:blocks=../x", "'../x' is neither a number nor true, false, none or a name"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_is_one_line_that_says_what_can(word, message):
    with pytest.raises(ValueError, match=message) as refusal:
        variant(METHODS, word)
    assert "\n" not in str(refusal.value)
