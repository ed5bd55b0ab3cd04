"""The reference values of the tests in analysis/src/statistics: python3 analysis/tests/reference.py

Made with scipy 1.17.1 and statsmodels 0.15.0. It prints what the tests hold, in the order of the files.
"""

import numpy as np
from scipy import optimize, stats
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
