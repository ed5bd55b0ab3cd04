"""The reference values of the tests in analysis/src/statistics: python3 analysis/tests/reference.py

Made with scipy 1.17.1 and statsmodels 0.15.0. It prints what the tests hold, in the order of the files.
"""

import numpy as np
import pandas
from scipy import optimize, stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests

print("gaussian")
for z in (-5.0, -29.9, -30.1, -100.0):
    print("  ln_below", z, repr(float(stats.norm.logcdf(z))))
print("  ln_between -1 1", repr(float(np.log(stats.norm.cdf(1) - stats.norm.cdf(-1)))))
print("  ln_between 8 9", repr(float(np.log(stats.norm.sf(8) - stats.norm.sf(9)))))

print("student", [repr(float(stats.t.isf(0.025, v))) for v in (1, 2, 4, 7, 20)])

print("isotonic")
y = [1.5, 1.0, 4.0, 6.0, 5.7, 5.0, 7.8, 9.0, 7.5, 9.5, 9.0]
print(" ", optimize.isotonic_regression(y).x.tolist())
for y in ([3.0, 1.8, 2.0, 5.0], [3.0, 1.8, 2.1, 5.0]):
    print(" ", optimize.isotonic_regression(y, weights=[0.5, 1.0, 1.0, 2.0]).x.tolist())

print("slope", repr(float(stats.linregress([1, 2, 3, 5, 8], [2.0, 1.5, 4.0, 3.5, 7.25]).slope)))

print("crossed: standard error of the mean of 4 data seeds by 3 initial seeds")
values = [3.1, 4.0, 2.2, 5.0, 6.3, 5.1, 1.2, 2.9, 0.4, 4.4, 4.1, 3.0]
layout = pandas.DataFrame(dict(y=values, data=np.repeat(range(4), 3), init=np.tile(range(3), 4)))
squares = anova_lm(ols("y ~ C(data) + C(init)", layout).fit())["mean_sq"]
# The variance of a mean of a layout of random effects: each mean square is that of its kind and of single trials.
of_data, of_init, single = squares["C(data)"], squares["C(init)"], squares["Residual"]
print("  A + B - E", repr(float(np.sqrt((of_data + of_init - single) / 12))))

print("collapse: each row predicted from the isotonic regression of the others")
rows = [(2.1, 2.8), (2.8, 4.2), (3.4, 2.8), (4.2, 4.2), (4.8, 5.5), (3.1, 5.5)]
depths = [0.0, 0.61, 1.43, 2.17, 2.9]
cells = [(r, l, b, d, np.tanh(b - 0.6 * l - 0.1 * d + 1.5) + 0.1 * np.sin(7 * r + 3 * k))
         for r, (l, d) in enumerate(rows) for k, b in enumerate(depths)]
row, l, b, d, y = map(np.array, zip(*cells))


def left(p, q):
    s, total = b - p * l - q * d, 0.0
    for out in range(len(rows)):
        own, others = row == out, np.flatnonzero(row != out)
        others = others[np.argsort(s[others])]
        curve = optimize.isotonic_regression(y[others]).x
        total += ((y[own] - np.interp(s[own], s[others], curve)) ** 2).sum()
    return total


spread = ((y - y.mean()) ** 2).sum()
for p, q in [(0.6, 0.1), (0.9, 0.0), (0.5, 0.25)]:
    print("  predicted", p, q, repr(float(1 - left(p, q) / spread)))
center = (0.5, 0.5)
for step, reach in [(0.15, 10), (0.03, 5), (0.005, 6)]:
    grid = [(center[0] + step * i, center[1] + step * j)
            for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    grid = [at for at in grid if all(-1 - 1e-9 <= x <= 2 + 1e-9 for x in at)]
    found = np.array([left(*at) for at in grid])
    center = tuple(np.mean([at for at, x in zip(grid, found) if x <= found.min() * (1 + 1e-9)], axis=0))
print("  best", [float(x) for x in center], repr(float(1 - left(*center) / spread)))

print("censored")
known = [("most", 0.0), ("exact", 0.7), ("exact", 2.4), ("between", 2.0, 3.0), ("exact", 4.4), ("least", 4.5)]


def minus_log_likelihood(p):
    total = 0.0
    for x, (kind, *y) in enumerate(known):
        z = [(v - p[0] - p[1] * x) / np.exp(p[2]) for v in y]
        total += {
            "exact": lambda: stats.norm.logpdf(z[0]) - p[2],
            "most": lambda: stats.norm.logcdf(z[0]),
            "least": lambda: stats.norm.logsf(z[0]),
            "between": lambda: np.log(stats.norm.cdf(z[1]) - stats.norm.cdf(z[0])),
        }[kind]()
    return -total


best = optimize.minimize(minus_log_likelihood, [0, 1, 0], method="Nelder-Mead",
                         options=dict(xatol=1e-12, fatol=1e-14, maxiter=20000))
print("  b", best.x[:2].tolist(), "sigma", float(np.exp(best.x[2])), "value", -best.fun)

print("kendall")
for x, y in [
    ([1, 2, 3, 4, 5, 6, 7], [1.0, 3.0, 2.0, 4.0, 6.0, 5.0, 7.0]),
    ([1, 2, 3, 4, 5], [5.0, 4.0, 3.0, 2.0, 1.0]),
    ([1, 1, 2, 2, 3, 3, 4], [1.0, 2.0, 2.0, 3.0, 3.0, 5.0, 4.0]),
]:
    found = stats.kendalltau(x, y)
    print("  tau", repr(float(found.statistic)), "p", repr(float(found.pvalue)))

print("page")
table = np.array([[3.0, 4.0, 3.5, 5.0], [2.0, 3.0, 4.0, 4.5], [1.0, 3.0, 2.0, 4.0], [2.5, 2.0, 3.0, 6.0]])
tied = np.array([[1.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 1.0, 3.0], [1.0, 2.0, 2.0]])
for t in (table, tied):
    for method in ("exact", "asymptotic"):
        found = stats.page_trend_test(t, method=method)
        print("  L", float(found.statistic), method, repr(float(found.pvalue)))

print("holm", multipletests([0.01, 0.04, 0.03, 0.005, 0.5], method="holm")[1].tolist())

print("region: F quantile of two and m degrees of freedom, as a factor of Hotelling's T^2")
for freedom in (4, 9, 20):
    print("  ", freedom, repr(float(2 * freedom / (freedom - 1) * stats.f.isf(0.05, 2, freedom - 1))))

print("cosines: kernel density of binned values, reflected at -1 and 1")
middles = -1 + 2 * (np.arange(200) + 0.5) / 200
counts = np.zeros(200)
counts[[0, 100, 104, 199]] = 30, 50, 10, 10
for b in (0, 100, 110):
    x = middles[b]
    parts = [stats.norm.pdf(x, loc=at, scale=0.04) for at in (middles, -2 - middles, 2 - middles)]
    print("  ", b, repr(float((counts * sum(parts)).sum() / counts.sum())))
