"""Classical Hessian-free optimization (Martens 2010), update by update, on the UCI digits.

What an update does, and what it reports: how long CG ran and why it stopped, what the quadratic
model promised and how much of it came true (rho), and how the damping answers.
Run it: python examples/03_classical_hf.py
"""

import sys

from matplotlib.figure import Figure

import minihf as hf

OUT = sys.argv[1] if len(sys.argv) > 1 else "03_classical_hf.png"
UPDATES = 25

digits = hf.data.load("digits")
batch = (digits.x_train, digits.y_train)
net = hf.Sequential(hf.Dense(64, 50), hf.Tanh(), hf.Dense(50, 30), hf.Tanh(), hf.Dense(30, 10))
loss = hf.SoftmaxCrossEntropy()
opt = hf.papers.martens2010(lam=1.0)

params = net.init(seed=0)
state = opt.init(params)
reports = []
print("update  objective  CG its  reason              lam      rho    step")
for update in range(1, UPDATES + 1):
    params, state, report = opt.step(net, loss, params, state, batch)
    reports.append(report)
    block = report.blocks["network"]
    print(f"{update:6}  {report.new_objective:9.5f}  {block.iterations:6}  {block.reason:18}  "
          f"{report.lam:7.1e}  {report.rho:+5.2f}  {report.step_length:5.2f}")


def accuracy(x, y):
    """Share of the cases whose largest output is the right one."""
    return float((net(params, x).argmax(axis=1) == y).mean())


products = sum(report.products for report in reports)
print(f"{UPDATES} updates, {products} products; right on {accuracy(*batch):.1%} of the training "
      f"and {accuracy(digits.x_test, digits.y_test):.1%} of the test digits")

figure = Figure(figsize=(10, 3.6), layout="constrained")
left, middle, right = figure.subplots(1, 3)
left.semilogy([report.new_objective for report in reports])
left.set(title="objective", xlabel="update")
middle.bar(range(UPDATES), [report.iterations for report in reports])
middle.set(title="CG iterations", xlabel="update")
right.semilogy([report.lam for report in reports])
right.set(title="damping and reduction ratio", xlabel="update", ylabel="lam (line)")
ratio = right.twinx()
ratio.plot([report.rho for report in reports], "C1.")
ratio.set(ylim=(0, 1.5), ylabel="rho (dots)")
ratio.axhspan(0.25, 0.75, color="C1", alpha=0.1)
figure.savefig(OUT, dpi=120)
print(f"figure: {OUT}")
