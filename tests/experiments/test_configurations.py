"""A configuration without an answer is refused in one sentence, before a ledger is opened."""

import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.experiment import execute

REFUSED = """\
double_descent --parts=exact,exact: named twice
double_descent --parts=: no part is named
double_descent --noise=1: noise = 1
double_descent --samples=0 --parts=ridge: samples = 0; give 1 or more
double_descent --features=0 --parts=bias_variance: features = 0
double_descent --seed=4294967296: seed = 4294967296; a seed is a whole number from 0 to 4294967295
double_descent --ridge.seed=-1: ridge.seed = -1
double_descent --ridge.widths=: ridge: two or more widths
double_descent --bias_variance.widths=: bias_variance.widths is empty
double_descent --random_features.widths=: random_features.widths is empty
double_descent --random_features.block=0: random_features.block = 0
double_descent --random_features.pool=5000: of 1797 digits
double_descent --trained.steps=0: trained.steps = 0
double_descent --trained.label_noise=0,2: label_noise lies between 0 and 1
initialization --factor.inputs=0: factor.inputs = 0
initialization --factor.activations=rulu: did you mean relu
initialization --factor.designs=fooo(x): fooo
initialization --phase.widths=0,2: phase.widths = 0
initialization --finite_width.widths=: finite_width.widths is empty
initialization --training.batch=0: training.batch = 0
initialization --training.batch=1348: give 1347 or less
initialization --minima.steps=0: minima.steps = 0
optimizers --seed=-1: seed = -1
optimizers --learning_rate.samples=5000: give 1797 or less
optimizers --learning_rate.nudges=: learning_rate.nudges is empty
optimizers --parts=training --training.batch=0: training.batch = 0
optimizers --counterexample.rate=0: counterexample.rate = 0
vanishing_gradients --width=-5: width = -5
vanishing_gradients --networks=0: networks = 0; give 2 or more
vanishing_gradients --batch=0: batch = 0
vanishing_gradients --batch=99999: batch = 99999; give 1797 or less
vanishing_gradients --block=0: block = 0
vanishing_gradients --allowance=-1: allowance = -1.0; give 0 or more
vanishing_gradients --activations=: activations is empty
vanishing_gradients --initialisers=hee: did you mean he
vanishing_gradients --recurrent.units=0: recurrent.units = 0
vanishing_gradients --training.rate=0: training.rate = 0
vanishing_gradients --trainability.batch=0: trainability.batch = 0
vanishing_gradients --trainability.batch=1700: trainability.batch = 1700; give
vanishing_gradients --parts=memory --memory.batch=9999: give 4096 or less"""


@pytest.mark.parametrize("line", REFUSED.splitlines())
def test_a_configuration_without_an_answer_is_refused_before_anything_runs(line, tmp_path):
    command, _, said = line.partition(": ")
    name, *words = command.split()
    ledger = tmp_path / "ledger.sqlite"
    with pytest.raises(UsageError) as refused:
        execute(name, "quick", words, ledger_path=ledger, stream=None)
    assert said in str(refused.value)
    assert not ledger.exists()
