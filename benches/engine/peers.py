#!/usr/bin/env python3
"""The work of `cargo bench --bench engine` in PyTorch and JAX: same core, same run, in turn with ours.

    python3 benches/engine/peers.py                        every case, as Markdown tables
    python3 benches/engine/peers.py 64:64:2 f32            only the cases whose name holds all the words
    python3 benches/engine/peers.py --core 0 --json FILE   on another core; every figure as JSON
    python3 benches/engine/peers.py --bench PATH           this executable, instead of asking cargo for one
    python3 benches/engine/peers.py --list                 the cases, and the peers of each

For each case ours runs, then every peer in a process of its own, then ours again; medians are told, and by how much our
second figure differed from the first. Ratios are above 1 where ours is faster. Everybody has one thread.

Where a peer has several forms, all are tried briefly and the fastest is timed and named.

    sgd        torch-nn        nn.Sequential, autograd and optim.SGD, plain or fused
               torch-hand      forward and backward by hand, into buffers made once, without autograd
               torch-compile   eight hand-written steps in one torch.compile (batch 1; needs a C++ compiler)
               jax-scan        lax.scan over steps of jax.grad; weights [in, out] or [out, in]
               jax-unrolled    the same with 4 or 8 steps unrolled
    wrn        torch           functional, in place where that is possible, NHWC or NCHW (oneDNN)
               torch-compile   the same under torch.compile, NHWC
               jax             jit of value_and_grad; XLA's convolutions, or patches and a product
    confusion  torch-vmap      torch.func.vmap(grad), then the products of all pairs
               jax-vmap        jax.vmap(grad), likewise; of convolutions also lax.map over small chunks
               torch-identity  products from the layers' inputs and deltas, no gradient formed
               jax-identity    the same in JAX

Training draws examples with replacement from 256 and steps by 0.01. `wrn` is a forward and a backward pass in train mode; as
in ours, neither the update nor the running statistics are part of it. Confusion of a d:w:L net is all pairs, reduced to the
least inner product and its pair, mean and rms of the cosines, four quantiles and a histogram of 200 bins; that of a Wide
ResNet ends with the inner products. Peers compute in the precision of the case throughout; ours takes inner products in f64.
Before a peer tells its figure it compares what it computes with plain numpy; where it trains a Wide ResNet, the peers are
compared with each other.

Memory is the peak of a peer's process above what it held after its imports; of ours, the peak of the whole process.

Needs Linux, Python 3.10 or later and `pip install torch jax numpy` (written with 2.15, 0.10 and 2.4). Without a peer the rest
is told all the same.
"""

import argparse
import gc
import importlib.util
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
from functools import partial

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES, STEP_SIZE = 256, 0.01
SHARES, BINS = (0.001, 0.01, 0.05, 0.5), 200
MOST_BYTES = 6e9  # of formed gradients
SECONDS = 1.0  # that a form is timed
F64_GATE = 0.45  # times as fast as our own f32


class Case:
    """One row of our benchmark. `count` is the batch, or the number of gradients."""

    def __init__(self, name):
        found = re.match(r"(.*) ([\d:-]+) (?:batch|N) (\d+) (f\d\d)", name)
        self.name, self.kind, self.count, self.precision = name, found[1], int(found[3]), found[4]
        self.net = [int(size) for size in re.split("[:-]", found[2])]
        self.norm, self.unit = "without" not in name, "/s" if self.kind == "sgd" else "ms"
        self.dtype = {"f32": "float32", "f64": "float64"}[self.precision]
        if ":" in found[2]:
            dim, width, depth = self.net
            self.shapes = [(width, dim)] + [(width, width)] * depth + [(1, width)]
            self.weights = sum(rows * columns for rows, columns in self.shapes)

    def ratio(self, ours, other):
        """How many times faster `ours` is."""
        return ours / other if self.unit == "/s" else other / ours

    def peers(self):
        """Names of its peers."""
        return [peer for peer in PEERS[self.kind] if self.kind != "sgd" or self.count == 1 or peer != "torch-compile"]


def cases():
    """Every case by name, ordered as in our benchmark."""
    names = []
    for precision in ("f32", "f64"):
        for net in ("64:64:2", "784:64:2", "64:256:2", "784:256:2", "784:1024:2"):
            names.append(f"sgd {net} batch 1 {precision}")
        for net in ("64:64:2", "64:256:2", "784:256:2", "784:1024:2"):
            names.append(f"sgd {net} batch 128 {precision}")
    names += [f"wrn 16-{width} batch 128 f32{norm}" for width in (1, 2) for norm in ("", " without batch norm")]
    names.append("confusion wrn 16-1 N 128 f32")
    for precision in ("f32", "f64"):
        for count in (512, 2048):
            names += [f"confusion {net} N {count} {precision}" for net in ("64:64:2", "784:256:2", "784:1024:2")]
    return {name: Case(name) for name in names}


def gates(case):
    """What is wanted of ours in f32: against the fastest of which peers ("": of all), and how many times as fast."""
    if case.precision == "f64":
        return []
    if case.kind == "wrn":
        return [("torch torch-compile", 1.2 if case.norm else 1.1), ("jax", 3.5)]
    if case.kind == "confusion wrn":
        return [("torch-vmap", 1.8), ("jax-vmap", 5)]
    dim, width, _ = case.net
    if case.kind == "confusion":
        identity = 2 if case.count == 2048 and width <= 256 else 1.2
        return [("torch-vmap jax-vmap", 25 if width == 64 else 80), ("torch-identity jax-identity", identity)]
    jax = "jax-scan jax-unrolled"
    if case.count > 1:
        return [(jax, 1.3), ("torch-nn", 6)] if width == 64 else [("", 1.05)]
    if width == 1024:
        return [(jax, 2), ("torch-hand", 1.6)]
    if width == 256 or dim == 784:
        return [(jax, 2.5), ("torch-hand", 6)]
    return [(jax, 3), ("torch-hand", 70), ("torch-nn", 400)]


# What every peer works on and is compared with. A peer is a function of the case that returns its forms, by name, and a check.
# A form does some work when it is called, and returns how much: steps, or 1.


def example_net(case, count):
    """Weights [out, in], inputs on the sphere and labels of a teacher."""
    import numpy as np

    draws = np.random.default_rng(0)
    weights = [draws.standard_normal(shape) / math.sqrt(shape[1]) for shape in case.shapes]
    inputs = draws.standard_normal((count, case.net[0]))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    labels = np.tanh(inputs @ draws.standard_normal((case.net[0], 1)))
    return [w.astype(case.dtype) for w in weights], inputs.astype(case.dtype), labels.astype(case.dtype)


def factors(tanh, weights, x, c):
    """The inputs and the deltas of every layer, each [n, k], in numpy, PyTorch or JAX."""
    read = [x]
    for w in weights:
        read.append(tanh(read[-1] @ w.T))
    deltas = [(read[-1] - c) * (1 - read[-1] * read[-1])]
    for w, a in zip(weights[:0:-1], read[-2:0:-1]):
        deltas.append((deltas[-1] @ w) * (1 - a * a))
    return list(zip(read, deltas[::-1]))


def training(case, dispatch, forms):
    """Training, from `forms[name](weights, inputs, labels)`: a function that takes the steps of an array of indices, and one that
    tells the weights. A step costs about `dispatch` seconds beside its arithmetic."""
    import numpy as np

    draws = np.random.default_rng(1)
    steps = max(1, int(0.2 / (6 * case.weights * case.count / 3e10 + dispatch)) // 16) * 16

    def timed(form):
        advance, _ = form(*example_net(case, EXAMPLES))

        def run():
            advance(draws.integers(EXAMPLES, size=(steps, case.count), dtype=np.int32))
            return steps

        return run

    def check(name):
        start, inputs, labels = example_net(case, EXAMPLES)
        advance, weights = forms[name](start, inputs, labels)
        indices = draws.integers(EXAMPLES, size=(16, case.count), dtype=np.int32)
        advance(indices)
        expected = [w.astype(float) for w in start]
        for chosen in indices:
            layers = factors(np.tanh, expected, inputs[chosen].astype(float), labels[chosen])
            expected = [w - STEP_SIZE / case.count * d.T @ a for w, (a, d) in zip(expected, layers)]
        moved, missed = (
            math.sqrt(sum(np.sum((w - e) ** 2) for w, e in zip(other, expected))) for other in (start, weights())
        )
        assert missed < (2e-3 if case.precision == "f32" else 1e-9) * moved, f"trains otherwise, by {missed / moved}"

    return {name: timed(form) for name, form in forms.items()}, check


def confusion(case, figures, forms):
    """Confusion of a d:w:L net, from `figures(form, weights, inputs, labels)`, the forms being named."""
    import numpy as np

    def timed(form, examples):
        return lambda: 1 if figures(form, *examples) else 0

    def check(name):
        weights, *examples = example_net(case, 40)
        layers = factors(np.tanh, [w.astype(float) for w in weights], *(x.astype(float) for x in examples))
        formed = np.concatenate([np.einsum("ni,nj->nij", d, a).reshape(40, -1) for a, d in layers], 1)
        gram, close = formed @ formed.T, 1e-4 if case.precision == "f32" else 1e-9
        norms, pairs = np.sqrt(np.diag(gram)), np.triu_indices(40, 1)
        cosines = (gram / norms / norms[:, None])[pairs]
        expected = [np.mean(cosines), np.sqrt(np.mean(cosines**2)), *np.quantile(cosines, SHARES)]
        least, pair, *told, histogram = figures(forms[name], weights, *examples)
        for product in (least, gram[pair]):
            assert abs(product - gram[pairs].min()) < close * norms.max() ** 2, "another least product"
        assert np.allclose(told, expected, atol=close), f"cosines with {told}, not {expected}"
        assert np.abs(np.cumsum(histogram - np.histogram(cosines, BINS, (-1, 1))[0])).max() <= 2, "another histogram"

    examples = example_net(case, case.count)
    return {name: timed(form, examples) for name, form in forms.items()}, check


def squared_loss(tanh, weights, x, c):
    """Of one example, in PyTorch or JAX."""
    for w in weights:
        x = tanh(w @ x)
    return ((x - c) ** 2).sum() / 2


def spread(cosines, bins):
    """Quantiles and histogram, from numpy's `cosines`, which are put in another order, and counts of bins whose last is for 1."""
    found, end = [], len(cosines)
    for place in sorted(((len(cosines) - 1) * share for share in SHARES), reverse=True):
        rank = int(place)
        part = cosines[:end]
        part.partition(rank)
        above = part[rank + 1 :].min() if rank + 1 < end else part[rank]
        found.append(float(part[rank] + (place - rank) * (above - part[rank])))
        end = rank + 1
    bins[BINS - 1] += bins[BINS]
    return *found[::-1], bins[:BINS]


def images(forms):
    """A Wide ResNet's work, from functions that return arrays. Their squares are summed for the check: peers must agree."""

    def timed(form):
        return lambda: 1 if form() else 0

    def check(name):
        return sum(float((x * x).sum()) for x in forms[name]())

    return {name: timed(form) for name, form in forms.items()}, check


def wide_resnet(case):
    """The numbers of a Wide ResNet in the order of the forward pass: kernels [k, k, in, out], scales and shifts [2, channels],
    head [in, out], biases; then running statistics by channels, images and classes."""
    import numpy as np

    draws, numbers, before = np.random.default_rng(0), [], 16

    def add(kernel, inputs, outputs):
        shape = (kernel, kernel, inputs, outputs)
        numbers.append(draws.standard_normal(shape) * math.sqrt(2 / (kernel * kernel * inputs)))

    def add_norm(channels):
        numbers.extend([np.stack([np.ones(channels), np.zeros(channels)])] if case.norm else [])

    add(3, 3, 16)
    for outputs in (16 * case.net[1] << stage for stage in range(3)):
        for inputs in (before, outputs):
            add_norm(inputs)
            add(3, inputs, outputs)
            add_norm(outputs)
            add(3, outputs, outputs)
            if inputs != outputs:
                add(1, inputs, outputs)
        before = outputs
    add_norm(before)
    numbers += [draws.uniform(-1, 1, (before, 10)) / math.sqrt(before), np.zeros(10)]
    pixels = draws.uniform(-1, 1, (case.count, 32, 32, 3)).astype(np.float32)
    running = {n: np.stack([np.zeros(n), np.ones(n)]).astype(np.float32) for n in {len(x[0]) for x in numbers if x.ndim == 2}}
    return [x.astype(np.float32) for x in numbers], running, pixels, draws.integers(10, size=case.count)


def outputs_of(case, numbers, x, conv, rectify, pool):
    """The forward pass, in PyTorch or JAX. `rectify` may overwrite what it reads where its last argument is true."""
    *numbers, head, biases = numbers
    rest = iter(numbers)

    def activate(x, is_free):
        return rectify(x, next(rest) if case.norm else None, is_free)

    x = conv(x, next(rest), 1)
    for stage in range(3):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            a = activate(x, False)
            y = activate(conv(a, next(rest), stride), True)
            y = conv(y, next(rest), 1)
            y += x if x.shape == y.shape else conv(a, next(rest), stride)
            x = y
    return pool(activate(x, True)) @ head + biases


# PyTorch.


def torch_module():
    import torch

    torch.set_num_threads(1)
    return torch


def torch_nn(case):
    torch = torch_module()

    def begin(fused, weights, inputs, labels):
        layers, (inputs, labels) = [], map(torch.tensor, (inputs, labels))
        for w in map(torch.tensor, weights):
            layers += [torch.nn.Linear(*w.T.shape, bias=False), torch.nn.Tanh()]
            layers[-2].weight = torch.nn.Parameter(w)
        model = torch.nn.Sequential(*layers)
        optimiser = torch.optim.SGD(model.parameters(), lr=STEP_SIZE, fused=fused)

        def advance(indices):
            for chosen in torch.from_numpy(indices):
                optimiser.zero_grad()
                loss = (model(inputs[chosen]) - labels[chosen]).square().sum() * (0.5 / case.count)
                loss.backward()
                optimiser.step()

        return advance, lambda: [w.detach().numpy() for w in model.parameters()]

    return training(case, 4e-4, {"plain": partial(begin, False), "fused": partial(begin, True)})


def torch_hand(case):
    torch = torch_module()
    mm, pull_back = torch.mm, torch.ops.aten.tanh_backward.grad_input
    alpha = -STEP_SIZE / case.count

    def begin(*start):
        weights, inputs, labels = [torch.tensor(w) for w in start[0]], *map(torch.tensor, start[1:])
        new = partial(torch.empty, dtype=inputs.dtype)
        outputs, deltas = ([new(case.count, len(w)) for w in weights] for _ in range(2))
        forward = [(w.T, a) for w, a in zip(weights, outputs)]
        backward = list(zip(weights, outputs, deltas, [d.T for d in deltas], [None] + outputs, [None] + deltas))[::-1]
        x, c, single = new(case.count, inputs.shape[1]), new(case.count, 1), list(zip(inputs.split(1), labels.split(1)))

        def step(x, c):
            a = x
            for w, out in forward:
                a = mm(a, w, out=out).tanh_()
            torch.sub(a, c, out=deltas[-1])
            for w, a, d, transposed, below, d_below in backward:
                pull_back(d, a, grad_input=d)
                if d_below is not None:
                    mm(d, w, out=d_below)
                w.addmm_(transposed, x if below is None else below, alpha=alpha)

        @torch.inference_mode()
        def advance(indices):
            if case.count == 1:
                for i in indices.ravel().tolist():
                    step(*single[i])
            else:
                for i in torch.from_numpy(indices).unbind():
                    step(torch.index_select(inputs, 0, i, out=x), torch.index_select(labels, 0, i, out=c))

        return advance, lambda: [w.numpy() for w in weights]

    return training(case, 5e-5, {"in place": begin})


def torch_compiled(case):
    torch = torch_module()

    @partial(torch.compile, fullgraph=True, dynamic=False)
    def eight(weights, inputs, labels, indices):
        # Sums of products are fused. Calls of a matrix library, which `@` becomes, cost more than the work at batch 1.
        for i in range(8):
            read = [inputs.index_select(0, indices[i])[0]]
            for w in weights:
                read.append(torch.tanh((w * read[-1]).sum(1)))
            d = (read[-1] - labels.index_select(0, indices[i])[0]) * (1 - read[-1] * read[-1])
            for w, a in zip(weights[::-1], read[-2::-1]):
                below = (d[:, None] * w).sum(0) * (1 - a * a)
                w.sub_(STEP_SIZE * d[:, None] * a)
                d = below

    def begin(*start):
        weights, inputs, labels = [torch.tensor(w) for w in start[0]], *map(torch.tensor, start[1:])

        @torch.inference_mode()
        def advance(indices):
            for chosen in torch.from_numpy(indices).view(-1, 8, 1):
                eight(weights, inputs, labels, chosen)

        return advance, lambda: [w.numpy() for w in weights]

    return training(case, 2e-5, {"eight steps": begin})


def torch_scan(count, size, block, norms):
    """The figures of all pairs; `block(i, j)` gives rows i to j of the Gram matrix from column i on, to be overwritten."""
    torch = torch_module()
    inverse, cosines = 1 / norms, torch.empty(count * (count - 1) // 2, dtype=norms.dtype)
    least, pair, end = math.inf, None, 0
    for i in range(0, count, size):
        gram = block(i, min(count, i + size))
        rows, columns = gram.shape
        scaled = (gram * inverse[i : i + rows, None]).mul_(inverse[i:])
        a, b = torch.triu_indices(rows, rows, 1)
        first, start = end, end + len(a)
        end = start + rows * (columns - rows)
        torch.take(scaled, a * columns + b, out=cosines[first:start])
        cosines[start:end].view(rows, columns - rows).copy_(scaled[:, rows:])
        gram.diagonal().fill_(math.inf)
        if (low := gram.min().item()) < least:
            a, b = divmod(gram.argmin().item(), columns)
            least, pair = low, (i + min(a, b), i + max(a, b))
    rms = math.sqrt(torch.dot(cosines.clamp_(-1, 1), cosines).item() / len(cosines))
    bins = torch.bincount(((cosines * (BINS / 2)).add_(BINS / 2)).to(torch.uint8), minlength=BINS + 1)
    return least, pair, cosines.mean().item(), rms, *spread(cosines.numpy(), bins.numpy())


def torch_vmap(case):
    torch = torch_module()
    gradients = torch.func.vmap(torch.func.grad(partial(squared_loss, torch.tanh)), (None, 0, 0))

    def figures(_, weights, *examples):
        formed = list(gradients([torch.from_numpy(w) for w in weights], *map(torch.from_numpy, examples)))
        gram = sum(j @ j.T for j in (formed.pop().flatten(1) for _ in weights))
        return torch_scan(len(gram), 256, lambda i, j: gram[i:j, i:], gram.diagonal().sqrt())

    return confusion(case, figures, {"whole": None})


def torch_identity(case):
    torch = torch_module()

    @torch.inference_mode()
    def figures(size, weights, *examples):
        layers = factors(torch.tanh, [torch.from_numpy(w) for w in weights], *map(torch.from_numpy, examples))
        norms = sum(a.square().sum(1) * d.square().sum(1) for a, d in layers).sqrt()

        def block(i, j):
            gram = 0
            for a, d in layers:
                gram = (a[i:j] @ a[i:].T).mul_(d[i:j] @ d[i:].T).add_(gram)
            return gram

        return torch_scan(len(norms), size, block, norms)

    return confusion(case, figures, {f"{size} rows at a time": size for size in (64, 128, 256, 512)})


def torch_images(case, compiled=False):
    torch = torch_module()
    functional, in_train = torch.nn.functional, case.kind == "wrn"

    def form(layout, chunk):
        numbers, running, pixels, classes = wide_resnet(case)
        memory = torch.channels_last if layout == "NHWC" else torch.contiguous_format
        running = {n: torch.from_numpy(x) for n, x in running.items()}
        kernels = [torch.from_numpy(x.transpose(3, 2, 0, 1) if x.ndim == 4 else x) for x in numbers]
        numbers = [x.contiguous(memory_format=memory) if x.dim() == 4 else x for x in kernels]
        x, c = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(memory_format=memory), torch.from_numpy(classes)

        def conv(x, kernel, stride):
            return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

        def rectify(x, norm, is_free):
            if norm is not None:
                mean, variance = (None, None) if in_train else running[norm.shape[1]]
                x = functional.batch_norm(x, mean, variance, norm[0], norm[1], training=in_train, eps=1e-5)
            return functional.relu(x, inplace=in_train and (is_free or norm is not None))

        def loss(numbers, x, c):
            return functional.cross_entropy(outputs_of(case, numbers, x, conv, rectify, lambda x: x.mean((2, 3))), c)

        if not in_train:
            one = torch.func.grad(lambda numbers, x, c: loss(numbers, x[None], c[None]))
            gradients = torch.func.vmap(one, (None, 0, 0), chunk_size=chunk)

            def gram():
                formed = list(gradients(numbers, x, c))
                return [sum(j @ j.T for j in (formed.pop().flatten(1) for _ in numbers))]

            return gram
        whole = torch.compile(loss, fullgraph=True, dynamic=False) if compiled else loss
        numbers = [x.requires_grad_() for x in numbers]

        def step():
            value = whole(numbers, x, c)
            return [value, *torch.autograd.grad(value, numbers)]

        return step

    forms = [(layout, chunk) for layout in ("NHWC", "NCHW") for chunk in ((case.count,) if in_train else (case.count, 32))]
    return images({f"{layout}, {chunk} at a time": form(layout, chunk) for layout, chunk in forms[: 1 if compiled else None]})


# JAX.


def jax_module(case):
    import jax

    jax.config.update("jax_enable_x64", case.precision == "f64")
    return jax, jax.numpy


def jax_training(case, unrolls):
    jax, jnp = jax_module(case)

    def loss(inputs_first, weights, x, c):
        for w in weights:
            x = jnp.tanh(x @ w if inputs_first else w @ x if case.count == 1 else x @ w.T)
        return jnp.sum((x - c) ** 2) * (0.5 / case.count)

    def form(inputs_first, unroll):
        @partial(jax.jit, donate_argnums=0)
        def steps(weights, inputs, labels, indices):
            def step(weights, chosen):
                slopes = jax.grad(partial(loss, inputs_first))(weights, inputs[chosen], labels[chosen])
                return [w - STEP_SIZE * slope for w, slope in zip(weights, slopes)], None

            # At batch 1 an index is a scalar, and an example a vector.
            return jax.lax.scan(step, weights, indices[:, 0] if case.count == 1 else indices, unroll=unroll)[0]

        def begin(weights, *examples):
            state, examples = [jnp.array(w.T if inputs_first else w) for w in weights], [jnp.array(x) for x in examples]

            def advance(indices):
                state[:] = jax.block_until_ready(steps(state[:], *examples, indices))

            return advance, lambda: [w.T if inputs_first else w for w in state]

        return begin

    layouts = {"[out, in]": False, "[in, out]": True}
    names = [(layout, unroll) for layout in layouts for unroll in unrolls]
    return training(case, 1e-6, {f"{layout}, unroll {unroll}": form(layouts[layout], unroll) for layout, unroll in names})


def jax_scan(count, size, block, row, norms):
    """In jit: the figures of all pairs, the quantiles apart, and the cosines. `block(i, j)` gives rows i to j of the Gram matrix
    from column i on; `row(i)` a whole row."""
    import jax.numpy as jnp
    import numpy as np

    inverse, lows, parts = 1 / norms, [], []
    for i in range(0, count, size):
        gram = block(i, min(count, i + size))
        rows = len(gram)
        scaled = jnp.clip(gram * inverse[i : i + rows, None] * inverse[i:], -1, 1)
        parts += [scaled[np.triu_indices(rows, 1)], scaled[:, rows:].ravel()]
        lows.append(jnp.where(np.eye(*gram.shape, dtype=bool), math.inf, gram).min(1))
    lows, cosines = jnp.concatenate(lows), jnp.concatenate(parts)
    i = lows.argmin()
    pair = i, row(i).at[i].set(math.inf).argmin()
    bins = jnp.bincount((cosines * (BINS / 2) + BINS / 2).astype(int), length=BINS + 1)
    return lows.min(), pair, cosines.mean(), jnp.sqrt((cosines * cosines).mean()), cosines, bins


def jax_confusion(case, scan, forms):
    """Confusion from `scan(form, weights, x, c)`, to be compiled."""
    import numpy as np

    compiled = jax_module(case)[0].jit(scan, static_argnums=0)

    def figures(form, *examples):
        least, pair, mean, rms, cosines, bins = compiled(form, *examples)
        return float(least), tuple(map(int, pair)), float(mean), float(rms), *spread(np.array(cosines), np.array(bins))

    return confusion(case, figures, forms)


def jax_vmap(case):
    jax, jnp = jax_module(case)
    gradients = jax.vmap(jax.grad(partial(squared_loss, jnp.tanh)), (None, 0, 0))

    def scan(_, weights, x, c):
        gram = sum(j @ j.T for j in (j.reshape(len(x), -1) for j in gradients(weights, x, c)))
        return jax_scan(len(x), 256, lambda i, j: gram[i:j, i:], lambda i: gram[i], jnp.sqrt(jnp.diagonal(gram)))

    return jax_confusion(case, scan, {"whole": None})


def jax_identity(case):
    _, jnp = jax_module(case)

    def scan(size, weights, x, c):
        layers = factors(jnp.tanh, weights, x, c)
        norms = jnp.sqrt(sum((a * a).sum(1) * (d * d).sum(1) for a, d in layers))

        def block(i, j):
            return sum((a[i:j] @ a[i:].T) * (d[i:j] @ d[i:].T) for a, d in layers)

        return jax_scan(len(x), size, block, lambda i: sum((a @ a[i]) * (d @ d[i]) for a, d in layers), norms)

    return jax_confusion(case, scan, {f"{size} rows at a time": size for size in (128, 256, 512)})


def jax_images(case):
    jax, jnp = jax_module(case)
    in_train = case.kind == "wrn"
    examples = jax.tree.map(jnp.asarray, wide_resnet(case))

    def convolve(x, kernel, stride):
        border = [(len(kernel) // 2,) * 2] * 2
        return jax.lax.conv_general_dilated(x, kernel, (stride,) * 2, border, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def multiply(x, kernel, stride):
        size, (n, side, _, _) = len(kernel), x.shape
        x = jnp.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
        span, corners = side - stride + 1, [(dy, dx) for dy in range(size) for dx in range(size)]
        patches = jnp.concatenate([x[:, dy : dy + span : stride, dx : dx + span : stride] for dy, dx in corners], -1)
        return (patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(patches.shape[-1], -1)).reshape(*patches.shape[:3], -1)

    def losses(conv, numbers, running, x, c):
        def rectify(x, norm, _):
            if norm is not None:
                mean, variance = running[x.shape[-1]]
                if in_train:
                    mean = x.mean((0, 1, 2))
                    variance = (x * x).mean((0, 1, 2)) - mean * mean
                x = (x - mean) * (norm[0] * jax.lax.rsqrt(variance + 1e-5)) + norm[1]
            return jax.nn.relu(x)

        outputs = outputs_of(case, numbers, x, conv, rectify, lambda x: x.mean((1, 2)))
        return jax.nn.logsumexp(outputs, 1) - jnp.take_along_axis(outputs, c[:, None], 1)[:, 0]

    def form(conv, chunk):
        def step(*examples):
            value, slopes = jax.value_and_grad(lambda *read: losses(conv, *read).mean())(*examples)
            return [value, *slopes]

        def gram(numbers, running, *examples):
            def one(example):
                return jax.grad(lambda *read: losses(conv, *read)[0])(numbers, running, *(x[None] for x in example))

            formed = jax.vmap(one)(examples) if chunk == case.count else jax.lax.map(one, examples, batch_size=chunk)
            return [sum(j @ j.T for j in (j.reshape(case.count, -1) for j in formed))]

        compiled = jax.jit(step if in_train else gram)
        return lambda: jax.block_until_ready(compiled(*examples))

    chunks = [(convolve, case.count), (multiply, case.count)] if in_train else [(convolve, case.count), (multiply, 8), (multiply, None)]
    names = {convolve: "convolutions", multiply: "patches"}
    return images({f"{names[conv]}, {chunk or 1} at a time": form(conv, chunk) for conv, chunk in chunks})


PEERS = {
    "sgd": {
        "torch-nn": torch_nn,
        "torch-hand": torch_hand,
        "torch-compile": torch_compiled,
        "jax-scan": partial(jax_training, unrolls=(1,)),
        "jax-unrolled": partial(jax_training, unrolls=(4, 8)),
    },
    "wrn": {"torch": torch_images, "torch-compile": partial(torch_images, compiled=True), "jax": jax_images},
    "confusion wrn": {"torch-vmap": torch_images, "jax-vmap": jax_images},
    "confusion": {
        "torch-vmap": torch_vmap,
        "jax-vmap": jax_vmap,
        "torch-identity": torch_identity,
        "jax-identity": jax_identity,
    },
}


# One peer, in a process of its own.


def resident(what):
    """Bytes that the kernel's line `what` says of this process."""
    return 1024 * int(re.search(rf"{what}:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])


def seconds_of(form):
    """Seconds that one unit of the form's work takes."""
    start = time.perf_counter()
    amount = form()
    return (time.perf_counter() - start) / amount


def timed(form, seconds):
    """The same, each time within about so many seconds, but at least once."""
    start, found = time.perf_counter(), []
    while not found or time.perf_counter() - start < seconds:
        found.append(seconds_of(form))
    return found


def child(peer, case):
    """What the peer's process tells."""
    formed = case.count * case.weights * int(case.precision[1:]) / 8 if case.kind == "confusion" else 0
    if peer.endswith("vmap") and formed > MOST_BYTES:
        return {"absent": f"gradients of {formed / 1e9:.0f} GB"}
    module = importlib.import_module(peer.split("-")[0])
    held = resident("VmRSS")
    forms, check = PEERS[case.kind][peer](case)
    best = min(forms, key=lambda name: (forms[name](), min(timed(forms[name], SECONDS / 4)))[1])
    form = forms[best]
    forms.clear()
    gc.collect()
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except OSError:
        pass
    typical = statistics.median(timed(form, SECONDS))
    told = {"figure": 1 / typical if case.unit == "/s" else 1e3 * typical, "form": best, "version": module.__version__}
    # The check comes last, since it has memory of its own.
    return told | {"memory": max(0, resident("VmHWM") - held), "check": check(best)}


# All of them, in turn.


def warn(text):
    print(text, file=sys.stderr, flush=True)


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def bench_executable():
    """Our benchmark, which cargo builds where it is not built."""
    command = ["cargo", "bench", "--bench", "engine", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return next(m["executable"] for m in found if m.get("executable") and m["target"]["name"] == "engine")


def run_ours(bench, case):
    """Our figure, and the peak memory of the process."""
    process = subprocess.Popen([bench, "--json", "--exact", case.name], stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in process.stdout]
    _, process.returncode, usage = os.wait4(process.pid, 0)
    figures = [line["figure"] for line in lines if line["case"] == case.name]
    if process.returncode or len(figures) != 1:
        sys.exit(f"{bench} told {len(figures)} figures of {case.name!r} and ended with {process.returncode}")
    return {"figure": figures[0], "memory": 1024 * usage.ru_maxrss}


def run_peer(peer, case):
    """What the peer tells, with one thread whatever it is made of."""
    here = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    flags = f"--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 {here.get('XLA_FLAGS', '')}".strip()
    here |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"), "1")
    here |= {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, __file__, "--child", peer, case.name]
    done = subprocess.run(command, env=here, capture_output=True, text=True)
    if done.returncode:
        warn(f"{case.name}: {peer}:\n{done.stderr}")
        return {"absent": "failed"}
    return json.loads(done.stdout.splitlines()[-1])


def measure(case, bench, peers, repeats, twin):
    """Every figure of the case. `twin` is our figure of the same case in f32."""
    ours, found = [], {peer: [] for peer in peers}
    for _ in range(repeats):
        ours.append(run_ours(bench, case))
        for peer in peers:
            found[peer].append(run_peer(peer, case))
        ours.append(run_ours(bench, case))
    row = {"case": case.name, "unit": case.unit, "figure": median(ours, "figure"), "memory": median(ours, "memory")}
    row |= {"again": median(ours[1::2], "figure") / median(ours[::2], "figure") - 1, "peers": {}, "absent": {}, "gates": []}
    for peer, runs in found.items():
        if absent := [run["absent"] for run in runs if "absent" in run]:
            row["absent"][peer] = absent[0]
            continue
        told = {key: median(runs, key) for key in ("figure", "memory")} | {"ratio": case.ratio(row["figure"], median(runs, "figure"))}
        row["peers"][peer] = told | {key: runs[-1][key] for key in ("form", "version", "check")}
    checks = {peer: told["check"] for peer, told in row["peers"].items() if told["check"]}
    if checks and max(checks.values()) > 1.002 * min(checks.values()):
        warn(f"{case.name}: the peers compute different things: {checks}")
    wanted = gates(case)
    reached = [[t["ratio"] for peer, t in row["peers"].items() if peer in (who.split() or row["peers"])] for who, _ in wanted]
    row["gates"] = [[who or "any", factor, min(ratios)] for (who, factor), ratios in zip(wanted, reached) if ratios]
    row["gates"] += [["own f32", F64_GATE, case.ratio(row["figure"], twin)]] if twin else []
    return row


def table(kind, rows):
    """The cases of one kind, as Markdown."""
    peers = [peer for peer in PEERS[kind] if any(peer in row["peers"] for row in rows)]

    def cell(row, told):
        memory = f", {told['memory'] / 1e6:,.0f} MB" if kind.startswith("confusion") else ""
        return f"{number(told['figure'])} {row['unit']}{memory}" + (f" ({told['ratio']:.2f}x)" if "ratio" in told else "")

    lines = [["case", "ours", "again", *peers, "ours / best peer", "wanted"], ["---", *["--:"] * (len(peers) + 3), "---"]]
    for row in rows:
        cells = [cell(row, row["peers"][peer]) if peer in row["peers"] else row["absent"].get(peer, "") for peer in peers]
        best = min((told["ratio"] for told in row["peers"].values()), default=math.nan)
        told = [f"{who} {wanted}x: {ratio:.2f} {'met' if ratio >= wanted else '**missed**'}" for who, wanted, ratio in row["gates"]]
        lines.append([row["case"], cell(row, row), f"{row['again']:+.0%}", *cells, f"{best:.2f}x", "; ".join(told)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description="Our engine beside PyTorch and JAX: see the head of this file.")
    parser.add_argument("words", nargs="*", help="only the cases whose name holds all of them")
    parser.add_argument("--core", type=int, default=1, help="the core that everything runs on (1)")
    parser.add_argument("--bench", help="our benchmark's executable; otherwise cargo is asked for it")
    parser.add_argument("--json", help="a file for every figure")
    parser.add_argument("--repeats", type=int, default=1, help="rounds of ours, peers, ours (1)")
    parser.add_argument("--list", action="store_true", help="tell the cases and their peers")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked, every = parser.parse_args(), cases()
    if asked.child:
        return print(json.dumps(child(asked.child, every[asked.words[0]])))
    chosen = [case for case in every.values() if all(word in case.name for word in asked.words)]
    if asked.list:
        return print("\n".join(f"{case.name}: {', '.join(case.peers())}" for case in chosen))
    missing = [name for name in ("numpy", "torch", "jax") if importlib.util.find_spec(name) is None]
    if missing:
        warn(f"without {', '.join(missing)} there are fewer peers, or none: pip install {' '.join(missing)}")
    os.sched_setaffinity(0, {asked.core})
    bench, rows = asked.bench or bench_executable(), {}
    for case in chosen:
        peers = [peer for peer in case.peers() if not {"numpy", peer.split("-")[0]} & set(missing)]
        twin = None
        if case.precision == "f64":
            other = every[case.name.replace("f64", "f32")]
            twin = (rows.get(other.name) or run_ours(bench, other))["figure"]
        rows[case.name] = row = measure(case, bench, peers, asked.repeats, twin)
        told = "".join(f"; {peer} {number(told['figure'])} ({told['form']})" for peer, told in row["peers"].items())
        warn(f"{case.name}: {number(row['figure'])} {case.unit}{told}")
        if asked.json:
            pathlib.Path(asked.json).write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    processor = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    versions = {peer.split("-")[0]: told["version"] for row in rows.values() for peer, told in row["peers"].items()}
    named = "".join(f", {name} {version}" for name, version in versions.items())
    print(f"{processor[1] if processor else 'processor'}, core {asked.core}, one thread{named}, rounds: {asked.repeats}")
    for kind in PEERS:
        if of_kind := [rows[case.name] for case in chosen if case.kind == kind]:
            print(f"\n{table(kind, of_kind)}")


if __name__ == "__main__":
    main()
