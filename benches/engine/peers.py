#!/usr/bin/env python3
"""The work of `cargo bench --bench engine` in PyTorch and JAX: same core, same run, in turn with ours.

    python3 benches/engine/peers.py                        every case, as Markdown tables
    python3 benches/engine/peers.py 64:64:2 f32            only the cases whose name holds all the words
    python3 benches/engine/peers.py --core 0 --json FILE   another core; every figure as JSON
    python3 benches/engine/peers.py --bench PATH           this executable, instead of asking cargo for it
    python3 benches/engine/peers.py --list                 the cases, and the peers of each

For each case ours runs, then every peer in a process of its own, then ours again; medians are told, and by how much the
second of ours differed. Ratios are above 1 where ours is faster. Nobody has more than one thread.

Who is compared. Where a peer has several forms, all are tried briefly and the fastest is timed.

    sgd              torch-nn        nn.Sequential, autograd and optim.SGD (plain or fused)
                     torch-hand      forward and backward by hand, into buffers made once, without autograd
                     torch-compile   eight hand-written steps in one torch.compile (batch 1; needs a C++ compiler)
                     jax-scan        lax.scan over steps of jax.grad; weights [in, out] or [out, in]
                     jax-unrolled    the same with 4 or 8 steps unrolled
    wrn              torch-step      functional, in place where it can be; NHWC or NCHW (oneDNN)
                     torch-compile   the same under torch.compile
                     jax-step        jit of value_and_grad; XLA's convolutions, or patches and one product
    confusion        torch-vmap      torch.func: vmap(grad), then J Jᵀ
                     jax-vmap        jax.vmap(grad), then J Jᵀ; of convolutions also lax.map with small chunks
                     torch-identity  inner products from layer inputs and deltas, no gradient formed
                     jax-identity    the same in JAX

Training draws examples with replacement from 256 and steps by 0.01. `wrn` is a forward and a backward pass in train mode; as
in ours, neither the update nor the running statistics are part of it. Confusion of a d:w:L net is all pairs reduced to the
least inner product and its pair, mean and rms of the cosines, four quantiles and a histogram of 200 bins; that of a Wide
ResNet ends with the inner products. Peers compute in the precision of the case throughout, while ours takes inner products in
f64. Each peer compares what it computes with a plain numpy version, or with the other framework, before it tells its figure.

Memory is the peak of a peer's process above what it held after its imports; ours is its whole process.

Needs Python 3.10 or later and `pip install torch jax numpy` (written with torch 2.15, jax 0.10, numpy 2.4). Without them ours
is still told.
"""

import argparse
import functools
import gc
import importlib.util
import json
import math
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = 256
STEP_SIZE = 0.01
SHARES = (0.001, 0.01, 0.05, 0.5)
BINS = 200
MOST_BYTES = 6e9  # of formed gradients
SECONDS = 1.0  # that a form is timed


# Cases and targets.


class Case(NamedTuple):
    """One row of our benchmark. `count` is the batch, or the number of gradients."""

    name: str
    kind: str
    net: tuple
    count: int
    precision: str
    norm: bool = True

    @property
    def unit(self):
        return "/s" if self.kind == "sgd" else "ms"

    @property
    def shapes(self):
        """Shapes of the weight matrices of a d:w:L net, [out, in]."""
        dim, width, depth = self.net
        return [(width, dim)] + [(width, width)] * depth + [(1, width)]

    @property
    def weights(self):
        return sum(rows * columns for rows, columns in self.shapes)

    def ratio(self, ours, other):
        """How many times faster `ours` is."""
        return ours / other if self.unit == "/s" else other / ours


def cases():
    """Every case, named and ordered as our benchmark does."""
    found = []
    for precision in ("f32", "f64"):
        for batch, nets in (
            (1, ("64:64:2", "784:64:2", "64:256:2", "784:256:2", "784:1024:2")),
            (128, ("64:64:2", "64:256:2", "784:256:2", "784:1024:2")),
        ):
            found += [Case(f"sgd {net} batch {batch} {precision}", "sgd", sizes(net), batch, precision) for net in nets]
    for width in (1, 2):
        name = f"wrn 16-{width} batch 128 f32"
        found.append(Case(name, "wrn", (width,), 128, "f32"))
        found.append(Case(name + " without batch norm", "wrn", (width,), 128, "f32", False))
    found.append(Case("confusion wrn 16-1 N 128 f32", "confusion wrn", (1,), 128, "f32"))
    for precision in ("f32", "f64"):
        for count in (512, 2048):
            for net in ("64:64:2", "784:256:2", "784:1024:2"):
                name = f"confusion {net} N {count} {precision}"
                found.append(Case(name, "confusion", sizes(net), count, precision))
    return found


def sizes(net):
    return tuple(int(size) for size in net.split(":"))


JAX = ("jax-scan", "jax-unrolled")
VMAP = ("torch-vmap", "jax-vmap")
IDENTITY = ("torch-identity", "jax-identity")
ANY = ()


def gates(case):
    """What is wanted of ours, in f32: (against the fastest of these peers, times as fast)."""
    if case.precision == "f64":
        return []
    if case.kind == "sgd":
        dim, width, _ = case.net
        if case.count > 1:
            return [(JAX, 1.3), (("torch-nn",), 6)] if width == 64 else [(ANY, 1.05)]
        if width == 1024:
            return [(JAX, 2), (("torch-hand",), 1.6)]
        if width == 256 or dim == 784:
            return [(JAX, 2.5), (("torch-hand",), 6)]
        return [(JAX, 3), (("torch-hand",), 70), (("torch-nn",), 400)]
    if case.kind == "wrn":
        return [(("torch-step", "torch-compile"), 1.2 if case.norm else 1.1), (("jax-step",), 3.5)]
    if case.kind == "confusion wrn":
        return [(("torch-vmap",), 1.8), (("jax-vmap",), 5)]
    width = case.net[1]
    return [(VMAP, 25 if width == 64 else 80), (IDENTITY, 2 if case.count == 2048 and width <= 256 else 1.2)]


F64_GATE = 0.45  # of our own f32


# What every peer computes on, and what it is compared with: numpy, in f64.


def example_net(case, count):
    """Weights [out, in], inputs on the sphere and labels of a teacher."""
    import numpy as np

    draws = np.random.default_rng(0)
    weights = [draws.standard_normal(shape) / math.sqrt(shape[1]) for shape in case.shapes]
    inputs = draws.standard_normal((count, case.net[0]))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    labels = np.tanh(inputs @ draws.standard_normal((case.net[0], 1)))
    kind = np.float32 if case.precision == "f32" else np.float64
    return [w.astype(kind) for w in weights], inputs.astype(kind), labels.astype(kind)


def passes(weights, x, c, tanh):
    """Layer inputs and deltas of every example, in numpy's, torch's or JAX's numbers: lists over layers of [n, k]."""
    read = [x]
    for w in weights:
        read.append(tanh(read[-1] @ w.T))
    deltas = [(read[-1] - c) * (1 - read[-1] * read[-1])]
    for w, a in zip(weights[:0:-1], read[-2:0:-1]):
        deltas.append((deltas[-1] @ w) * (1 - a * a))
    return read[:-1], deltas[::-1]


def check_training(case, advance):
    """Compares sixteen steps of `advance(weights, inputs, labels, indices)` with numpy's in f64."""
    import numpy as np

    start, inputs, labels = example_net(case, EXAMPLES)
    indices = np.random.default_rng(1).integers(EXAMPLES, size=(16, case.count))
    expected = [w.astype(np.float64) for w in start]
    for chosen in indices:
        read, deltas = passes(expected, inputs[chosen].astype(np.float64), labels[chosen], np.tanh)
        expected = [w - STEP_SIZE / case.count * d.T @ a for w, a, d in zip(expected, read, deltas)]
    moved = math.sqrt(sum(np.sum((e - w) ** 2) for e, w in zip(expected, start)))
    found = advance(start, inputs, labels, indices)
    missed = math.sqrt(sum(np.sum((e - f) ** 2) for e, f in zip(expected, found)))
    assert missed < (2e-3 if case.precision == "f32" else 1e-9) * moved, f"trains otherwise: {missed / moved}"


def check_confusion(case, figures):
    """Compares `figures(weights, inputs, labels)` of 40 examples with those of gradients that are written out."""
    import numpy as np

    weights, inputs, labels = example_net(case, 40)
    wide = [w.astype(np.float64) for w in weights]
    read, deltas = passes(wide, inputs.astype(np.float64), labels.astype(np.float64), np.tanh)
    formed = [np.concatenate([np.outer(d[i], a[i]).ravel() for a, d in zip(read, deltas)]) for i in range(40)]
    gram = np.array(formed) @ np.array(formed).T
    i, j = np.triu_indices(40, 1)
    norms = np.sqrt(np.diag(gram))
    cosines = gram[i, j] / norms[i] / norms[j]
    least, pair, *told, histogram = figures(weights, inputs, labels)
    expected = [np.mean(cosines), np.sqrt(np.mean(cosines**2)), *np.quantile(cosines, SHARES)]
    close = 1e-4 if case.precision == "f32" else 1e-9
    assert abs(least - gram[i, j].min()) < close * norms.max() ** 2, "another least product"
    assert abs(gram[pair] - gram[i, j].min()) < close * norms.max() ** 2, "another pair"
    assert np.allclose(told, expected, atol=close), f"other cosines: {told}, not {expected}"
    assert np.abs(np.cumsum(histogram - np.histogram(cosines, BINS, (-1, 1))[0])).max() <= 2, "another histogram"


def quantiles(cosines):
    """The quantiles of numpy's `cosines`, which are put in another order."""
    found, end = [], len(cosines)
    for place in sorted(((len(cosines) - 1) * share for share in SHARES), reverse=True):
        rank = int(place)
        part = cosines[:end]
        part.partition(rank)
        above = part[rank + 1 :].min() if rank + 1 < end else part[rank]
        found.append(float(part[rank] + (place - rank) * (above - part[rank])))
        end = rank + 1
    return found[::-1]


def wide_resnet(case):
    """Numbers of a Wide ResNet of depth 16 in the order of the forward pass (kernels [k, k, in, out]), images and classes."""
    import numpy as np

    draws = np.random.default_rng(0)
    numbers, before = {}, 16

    def conv(kernel, inputs, outputs):
        shape = (kernel, kernel, inputs, outputs)
        numbers[f"conv.{len(numbers)}"] = draws.standard_normal(shape) * math.sqrt(2 / (kernel * kernel * inputs))

    def norm(channels):
        if case.norm:
            numbers[f"norm.{len(numbers)}"] = np.stack([np.ones(channels), np.zeros(channels)])

    conv(3, 3, 16)
    for stage in range(3):
        outputs = (16 * case.net[0]) << stage
        for inputs in (before, outputs):
            norm(inputs)
            conv(3, inputs, outputs)
            norm(outputs)
            conv(3, outputs, outputs)
            if inputs != outputs:
                conv(1, inputs, outputs)
        before = outputs
    norm(before)
    numbers["head"] = draws.uniform(-1, 1, (before, 10)) / math.sqrt(before)
    numbers["bias"] = np.zeros(10)
    images = draws.uniform(-1, 1, (case.count, 32, 32, 3)).astype(np.float32)
    return {name: x.astype(np.float32) for name, x in numbers.items()}, images, draws.integers(10, size=case.count)


def wide_resnet_outputs(numbers, x, conv, rectify, pool):
    """The forward pass, whatever the framework. `rectify` may overwrite its argument where the last one is true."""
    rest, kinds = iter(list(numbers.values())), {name.split(".")[0] for name in numbers}

    def next_number(kind):
        return next(rest) if kind in kinds else None

    x = conv(x, next_number("conv"), 1)
    for stage in range(3):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            a = rectify(x, next_number("norm"), False)
            y = conv(a, next_number("conv"), stride)
            y = conv(rectify(y, next_number("norm"), True), next_number("conv"), 1)
            y += x if x.shape == y.shape else conv(a, next_number("conv"), stride)
            x = y
    return pool(rectify(x, next_number("norm"), True)) @ numbers["head"] + numbers["bias"]


class Work(NamedTuple):
    """Forms of one peer's work. `forms[name]()` does some of it and returns how much: steps, or 1. `check(name)` fails where it is
    not the same work, or returns numbers that the other peers must find too."""

    forms: dict
    check: object


def once(work, *arguments):
    """`work` as a form."""

    def run():
        work(*arguments)
        return 1

    return run


def draw_steps(case, dispatch):
    """Indices of about a fifth of a second's steps, a step's overhead being `dispatch` seconds, a multiple of 16."""
    import numpy as np

    count = int(0.2 / (6 * case.weights * case.count / 3e10 + dispatch)) // 16 * 16
    draws = np.random.default_rng(2)
    return lambda: draws.integers(EXAMPLES, size=(max(16, count), case.count), dtype=np.int32)


# PyTorch.


def import_torch():
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    return torch


def torch_training(case, forms, dispatch):
    """Work of `forms[name](weights, inputs, labels)`, which gives the weights and a function that steps them."""
    torch = import_torch()
    draw = draw_steps(case, dispatch)

    def begin(form, weights, inputs, labels):
        tensors = [torch.tensor(w) for w in weights]
        return form(tensors, torch.tensor(inputs), torch.tensor(labels))

    def timed(form):
        _, advance = begin(form, *example_net(case, EXAMPLES))

        def run():
            indices = draw()
            advance(torch.from_numpy(indices))
            return len(indices)

        return run

    def check(name):
        def advance(weights, inputs, labels, indices):
            now, steps = begin(forms[name], weights, inputs, labels)
            steps(torch.from_numpy(indices))
            return [w.detach().numpy() for w in now]

        check_training(case, advance)

    return Work({name: timed(form) for name, form in forms.items()}, check)


def torch_nn(case):
    torch = import_torch()

    def form(fused, weights, inputs, labels):
        layers = []
        for w in weights:
            linear = torch.nn.Linear(*w.T.shape, bias=False, dtype=w.dtype)
            linear.weight.data.copy_(w)
            layers += [linear, torch.nn.Tanh()]
        model = torch.nn.Sequential(*layers)
        parameters = list(model.parameters())
        optimiser = torch.optim.SGD(parameters, lr=STEP_SIZE, fused=fused)
        scale = 0.5 / case.count

        def advance(indices):
            for chosen in indices:
                optimiser.zero_grad()
                loss = scale * (model(inputs[chosen]) - labels[chosen]).square().sum()
                loss.backward()
                optimiser.step()

        return parameters, advance

    forms = {"plain": functools.partial(form, False), "fused": functools.partial(form, True)}
    return torch_training(case, forms, 4e-4)


def torch_hand(case):
    torch = import_torch()
    batch, pull_back = case.count, torch.ops.aten.tanh_backward.grad_input

    def form(weights, inputs, labels):
        new = functools.partial(torch.empty, dtype=inputs.dtype)
        outputs, deltas = ([new(batch, len(w)) for w in weights] for _ in range(2))
        x, c = new(batch, inputs.shape[1]), new(batch, 1)
        one = list(zip(inputs.split(1), labels.split(1)))
        transposed = [(w.T, a, d) for w, a, d in zip(weights, outputs, deltas)]
        read = [x] + outputs[:-1]
        back = list(zip(weights, outputs, deltas, [d.T for d in deltas], read, [None] + deltas[:-1]))[::-1]
        mm, alpha = torch.mm, -STEP_SIZE / batch

        def step(x, c):
            a = x
            for w, out, _ in transposed:
                a = mm(a, w, out=out).tanh_()
            torch.sub(a, c, out=deltas[-1])
            for w, a, d, d_transposed, below, d_below in back:
                pull_back(d, a, grad_input=d)
                if d_below is None:
                    w.addmm_(d_transposed, x, alpha=alpha)
                else:
                    mm(d, w, out=d_below)
                    w.addmm_(d_transposed, below, alpha=alpha)

        @torch.inference_mode()
        def advance(indices):
            if batch == 1:
                for i in indices.flatten().tolist():
                    step(*one[i])
                return
            for chosen in indices.unbind():
                step(torch.index_select(inputs, 0, chosen, out=x), torch.index_select(labels, 0, chosen, out=c))

        return weights, advance

    return torch_training(case, {"in place": form}, 5e-5)


def torch_compiled_training(case):
    torch = import_torch()

    @functools.partial(torch.compile, fullgraph=True, dynamic=False)
    def eight(weights, inputs, labels, indices):
        # As sums of products, which the compiler fuses: its calls of a matrix library cost more than the work at batch 1.
        for i in range(8):
            read = [inputs.index_select(0, indices[i])[0]]
            for w in weights:
                read.append(torch.tanh((w * read[-1]).sum(1)))
            d = (read[-1] - labels.index_select(0, indices[i])[0]) * (1 - read[-1] * read[-1])
            for w, a in zip(weights[::-1], read[-2::-1]):
                below = (d[:, None] * w).sum(0) * (1 - a * a)
                w.sub_(STEP_SIZE * d[:, None] * a)
                d = below

    def form(weights, inputs, labels):
        @torch.inference_mode()
        def advance(indices):
            for chosen in indices.view(-1, 8, 1):
                eight(weights, inputs, labels, chosen)

        return weights, advance

    return torch_training(case, {"eight steps": form}, 2e-5)


def torch_images(case, layout):
    """Numbers, images and classes of a Wide ResNet, and its outputs as a function of the first two."""
    torch = import_torch()
    functional = torch.nn.functional
    numbers, images, classes = wide_resnet(case)
    memory = {"NHWC": torch.channels_last, "NCHW": torch.contiguous_format}[layout]

    def tensor(x):
        x = torch.tensor(x)
        return x.permute(3, 2, 0, 1).contiguous(memory_format=memory) if x.dim() == 4 else x

    in_train = case.kind == "wrn"
    running = {} if in_train else {x.shape[1]: torch.tensor([[0.0], [1.0]]).expand(2, x.shape[1]).contiguous()
                                   for name, x in numbers.items() if name.startswith("norm")}

    def conv(x, kernel, stride):
        return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def rectify(x, norm, is_free):
        if norm is not None:
            mean, variance = (None, None) if in_train else running[norm.shape[1]]
            x = functional.batch_norm(x, mean, variance, norm[0], norm[1], training=in_train, eps=1e-5)
        return functional.relu(x, inplace=in_train and (is_free or norm is not None))

    def outputs(numbers, x):
        return wide_resnet_outputs(numbers, x, conv, rectify, lambda x: x.mean((2, 3)))

    x = torch.tensor(images).permute(0, 3, 1, 2).contiguous(memory_format=memory)
    return {name: tensor(x) for name, x in numbers.items()}, x, torch.tensor(classes), outputs


def torch_step(case, compiled=False):
    torch = import_torch()

    def form(layout):
        numbers, images, classes, outputs = torch_images(case, layout)
        trained = [x.requires_grad_() for x in numbers.values()]

        def loss(numbers, images):
            return torch.nn.functional.cross_entropy(outputs(numbers, images), classes)

        loss = torch.compile(loss, fullgraph=True, dynamic=False) if compiled else loss

        def step():
            value = loss(numbers, images)
            return value, torch.autograd.grad(value, trained)

        return step

    steps = {layout: form(layout) for layout in (("NHWC",) if compiled else ("NHWC", "NCHW"))}

    def check(name):
        value, gradient = steps[name]()
        return [value.item(), sum(g.square().sum().item() for g in gradient)]

    return Work({name: once(step) for name, step in steps.items()}, check)


def torch_scan(count, size, block, norms):
    """The figures of all pairs; `block(i, j)` gives rows i to j of the Gram matrix from column i on, to be overwritten."""
    torch = import_torch()
    inverse = 1 / norms
    cosines = torch.empty(count * (count - 1) // 2, dtype=norms.dtype)
    least, pair, at = math.inf, None, 0
    for i in range(0, count, size):
        gram = block(i, min(count, i + size))
        rows, columns = gram.shape
        scaled = (gram * inverse[i : i + rows, None]).mul_(inverse[i:])
        a, b = torch.triu_indices(rows, rows, 1)
        end = at + len(a)
        torch.take(scaled, a * columns + b, out=cosines[at:end])
        at = end + rows * (columns - rows)
        cosines[end:at].view(rows, columns - rows).copy_(scaled[:, rows:])
        gram.diagonal().fill_(math.inf)
        low = gram.min().item()
        if low < least:
            a, b = divmod(gram.argmin().item(), columns)
            least, pair = low, (i + min(a, b), i + max(a, b))
    cosines.clamp_(-1, 1)
    rms = math.sqrt(torch.dot(cosines, cosines).item() / len(cosines))
    bins = torch.bincount(((cosines * (BINS / 2)).add_(BINS / 2)).to(torch.uint8), minlength=BINS + 1).numpy()
    return least, pair, cosines.mean().item(), rms, *quantiles(cosines.numpy()), bins


def confusion_work(case, figures, forms):
    """Work of `figures(form, weights, inputs, labels)`, the `forms` being named."""
    examples = example_net(case, case.count)

    def check(name):
        check_confusion(case, functools.partial(figures, forms[name]))

    return Work({name: once(figures, form, *examples) for name, form in forms.items()}, check)


def squared_loss(weights, x, c, tanh):
    for w in weights:
        x = tanh(w @ x)
    return 0.5 * ((x - c) ** 2).sum()


def torch_vmap(case):
    torch = import_torch()
    gradients = torch.func.vmap(torch.func.grad(functools.partial(squared_loss, torch.tanh)), (None, 0, 0))

    def figures(_, weights, *examples):
        weights, (x, c) = [torch.from_numpy(w) for w in weights], map(torch.from_numpy, examples)
        formed = list(gradients(weights, x, c))
        gram = sum(j @ j.T for j in (formed.pop().flatten(1) for _ in weights))
        return torch_scan(len(x), 256, lambda i, j: gram[i:j, i:], gram.diagonal().sqrt())

    return confusion_work(case, figures, {"whole": None})


def torch_identity(case):
    torch = import_torch()

    @torch.inference_mode()
    def figures(size, weights, *examples):
        weights, (x, c) = [torch.from_numpy(w) for w in weights], map(torch.from_numpy, examples)
        layers = list(zip(*passes(weights, x, c, torch.tanh)))
        squares = sum(a.square().sum(1) * d.square().sum(1) for a, d in layers)

        def block(i, j):
            gram = 0
            for a, d in layers:
                gram = (a[i:j] @ a[i:].T).mul_(d[i:j] @ d[i:].T).add_(gram)
            return gram

        return torch_scan(len(x), size, block, squares.sqrt())

    return confusion_work(case, figures, {f"{size} rows at a time": size for size in (64, 128, 256, 512)})


def torch_vmap_images(case):
    torch = import_torch()

    def form(layout, chunk):
        numbers, images, classes, outputs = torch_images(case, layout)

        def loss(numbers, x, c):
            return torch.nn.functional.cross_entropy(outputs(numbers, x[None]), c[None])

        gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0), chunk_size=chunk)

        def grams():
            formed = gradients(numbers, images, classes)
            return sum(j @ j.T for j in (formed.pop(name).flatten(1) for name in numbers))

        return grams

    names = [(layout, chunk) for layout in ("NCHW", "NHWC") for chunk in (128, 32)]
    return image_work({f"{layout}, chunks of {chunk}": form(layout, chunk) for layout, chunk in names})


def image_work(grams):
    """Work of functions that give a Gram matrix."""

    def check(name):
        gram = grams[name]()
        return [float(gram.sum()), float(gram.trace())]

    return Work({name: once(gram) for name, gram in grams.items()}, check)


# JAX.


def import_jax(case):
    import jax

    jax.config.update("jax_enable_x64", case.precision == "f64")
    return jax


def jax_training(case, unrolls):
    jax = import_jax(case)
    numpy, draw = jax.numpy, draw_steps(case, 1e-6)

    def loss(layout, weights, x, c):
        for w in weights:
            if layout == "in, out":
                x = x @ w
            else:
                x = w @ x if case.count == 1 else x @ w.T
            x = numpy.tanh(x)
        return 0.5 / case.count * numpy.sum((x - c) ** 2)

    def compiled(layout, unroll):
        gradient = jax.grad(functools.partial(loss, layout))

        @functools.partial(jax.jit, donate_argnums=0)
        def advance(weights, inputs, labels, indices):
            def step(weights, chosen):
                # At batch 1 an index is a scalar, and everything a vector.
                slopes = gradient(weights, inputs[chosen], labels[chosen])
                return [w - STEP_SIZE * slope for w, slope in zip(weights, slopes)], None

            return jax.lax.scan(step, weights, indices[:, 0] if case.count == 1 else indices, unroll=unroll)[0]

        return advance

    pairs = [(layout, unroll) for layout in ("out, in", "in, out") for unroll in unrolls]
    forms = {f"[{layout}], unrolled {unroll}": (layout, compiled(layout, unroll)) for layout, unroll in pairs}

    def laid(layout, weights):
        return [numpy.array(w if layout == "out, in" else w.T) for w in weights]

    def timed(layout, advance):
        weights, inputs, labels = example_net(case, EXAMPLES)
        state, read = laid(layout, weights), (numpy.array(inputs), numpy.array(labels))

        def run():
            nonlocal state
            indices = draw()
            state = jax.block_until_ready(advance(state, *read, indices))
            return len(indices)

        return run

    def check(name):
        layout, advance = forms[name]

        def steps(weights, inputs, labels, indices):
            import numpy as np

            return laid(layout, map(np.asarray, advance(laid(layout, weights), inputs, labels, indices)))

        check_training(case, steps)

    return Work({name: timed(*form) for name, form in forms.items()}, check)


def jax_scan(count, size, block, row, norms):
    """Inside jit: the figures of all pairs but the quantiles, and the cosines. `block(i, j)` gives rows i to j of the Gram matrix
    from column i on, `row(i)` one of its rows."""
    import jax
    import numpy as np

    numpy, inverse = jax.numpy, 1 / norms
    lows, parts = [], []
    for i in range(0, count, size):
        gram = block(i, min(count, i + size))
        rows = len(gram)
        scaled = numpy.clip(gram * inverse[i : i + rows, None] * inverse[i:], -1, 1)
        parts += [scaled[np.triu_indices(rows, 1)], scaled[:, rows:].ravel()]
        lows.append(numpy.where(np.eye(*gram.shape, dtype=bool), math.inf, gram).min(1))
    lows, cosines = numpy.concatenate(lows), numpy.concatenate(parts)
    i = lows.argmin()
    j = row(i).at[i].set(math.inf).argmin()
    pair = numpy.minimum(i, j), numpy.maximum(i, j)
    bins = numpy.bincount((cosines * (BINS / 2) + BINS / 2).astype(int), length=BINS + 1)
    return lows.min(), pair, cosines.mean(), numpy.sqrt((cosines * cosines).mean()), bins, cosines


def jax_confusion(case, forms, scan):
    """Work of `scan(form, weights, x, c)`, inside jit."""
    import numpy as np

    jax = import_jax(case)
    compiled = jax.jit(scan, static_argnums=0)

    def figures(form, *examples):
        least, (i, j), mean, rms, bins, cosines = jax.block_until_ready(compiled(form, *examples))
        return float(least), (int(i), int(j)), float(mean), float(rms), *quantiles(np.array(cosines)), np.asarray(bins)

    return confusion_work(case, figures, forms)


def jax_vmap(case):
    jax = import_jax(case)
    gradients = jax.vmap(jax.grad(functools.partial(squared_loss, jax.numpy.tanh)), (None, 0, 0))

    def scan(_, weights, x, c):
        gram = sum(j @ j.T for j in (j.reshape(len(x), -1) for j in gradients(weights, x, c)))
        norms = jax.numpy.sqrt(jax.numpy.diagonal(gram))
        return jax_scan(len(x), 256, lambda i, j: gram[i:j, i:], lambda i: gram[i], norms)

    return jax_confusion(case, {"whole": None}, scan)


def jax_identity(case):
    jax = import_jax(case)

    def scan(size, weights, x, c):
        layers = list(zip(*passes(weights, x, c, jax.numpy.tanh)))
        squares = sum((a * a).sum(1) * (d * d).sum(1) for a, d in layers)

        def block(i, j):
            return sum((a[i:j] @ a[i:].T) * (d[i:j] @ d[i:].T) for a, d in layers)

        def row(i):
            return sum((a @ a[i]) * (d @ d[i]) for a, d in layers)

        return jax_scan(len(x), size, block, row, jax.numpy.sqrt(squares))

    return jax_confusion(case, {f"{size} rows at a time": size for size in (128, 256, 512)}, scan)


def jax_images(case, how):
    """Numbers and running statistics, images and classes of a Wide ResNet, and the loss of each image as a function of them."""
    jax = import_jax(case)
    numpy, lax = jax.numpy, jax.lax
    numbers, images, classes = jax.tree.map(numpy.asarray, wide_resnet(case))
    in_train = case.kind == "wrn"
    running = {} if in_train else {x.shape[1]: (numpy.zeros(x.shape[1]), numpy.ones(x.shape[1]))
                                   for name, x in numbers.items() if name.startswith("norm")}

    def convolve(x, kernel, stride):
        border = [(len(kernel) // 2,) * 2] * 2
        return lax.conv_general_dilated(x, kernel, (stride,) * 2, border, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def multiply(x, kernel, stride):
        size, (n, side, _, channels) = len(kernel), x.shape
        border, out, span = size // 2, side // stride, stride * (side // stride - 1) + 1
        x = numpy.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
        corners = [(dy, dx) for dy in range(size) for dx in range(size)]
        parts = [lax.slice(x, (0, dy, dx, 0), (n, dy + span, dx + span, channels), (1, stride, stride, 1)) for dy, dx in corners]
        patches = numpy.concatenate(parts, -1).reshape(n * out * out, -1)
        return (patches @ kernel.reshape(patches.shape[1], -1)).reshape(n, out, out, -1)

    def losses(numbers, running, x, c):
        def rectify(x, norm, _):
            if norm is None:
                return jax.nn.relu(x)
            if in_train:
                mean = x.mean((0, 1, 2))
                variance = (x * x).mean((0, 1, 2)) - mean * mean
            else:
                mean, variance = running[x.shape[-1]]
            return jax.nn.relu((x - mean) * (norm[0] * lax.rsqrt(variance + 1e-5)) + norm[1])

        conv = convolve if how == "convolutions" else multiply
        outputs = wide_resnet_outputs(numbers, x, conv, rectify, lambda x: x.mean((1, 2)))
        return jax.nn.logsumexp(outputs, 1) - numpy.take_along_axis(outputs, c[:, None], 1)[:, 0]

    return (numbers, running, images, classes), losses


def jax_step(case):
    jax = import_jax(case)

    def form(how):
        examples, losses = jax_images(case, how)
        step = jax.jit(jax.value_and_grad(lambda *read: losses(*read).mean()))
        return lambda: jax.block_until_ready(step(*examples))

    steps = {how: form(how) for how in ("convolutions", "patches")}

    def check(name):
        value, gradient = steps[name]()
        return [float(value), sum(float((g * g).sum()) for g in gradient.values())]

    return Work({name: once(step) for name, step in steps.items()}, check)


def jax_vmap_images(case):
    jax = import_jax(case)

    def form(how, chunk):
        examples, losses = jax_images(case, how)

        def grams(numbers, running, images, classes):
            def gradient(example):
                x, c = example
                return jax.grad(lambda *read: losses(*read)[0])(numbers, running, x[None], c[None])

            whole = chunk == len(images)
            read = images, classes
            formed = jax.vmap(gradient)(read) if whole else jax.lax.map(gradient, read, batch_size=chunk)
            return sum(j @ j.T for j in (j.reshape(len(images), -1) for j in formed.values()))

        compiled = jax.jit(grams)
        return lambda: jax.block_until_ready(compiled(*examples))

    names = [("convolutions", case.count), ("patches", 8), ("patches", None)]
    return image_work({f"{how}, chunks of {chunk or 1}": form(how, chunk) for how, chunk in names})


PEERS = {
    "sgd": {
        "torch-nn": torch_nn,
        "torch-hand": torch_hand,
        "torch-compile": torch_compiled_training,
        "jax-scan": lambda case: jax_training(case, (1,)),
        "jax-unrolled": lambda case: jax_training(case, (4, 8)),
    },
    "wrn": {
        "torch-step": torch_step,
        "torch-compile": functools.partial(torch_step, compiled=True),
        "jax-step": jax_step,
    },
    "confusion wrn": {"torch-vmap": torch_vmap_images, "jax-vmap": jax_vmap_images},
    "confusion": {
        "torch-vmap": torch_vmap,
        "jax-vmap": jax_vmap,
        "torch-identity": torch_identity,
        "jax-identity": jax_identity,
    },
}


def peers_of(case):
    return [peer for peer in PEERS[case.kind] if case.kind != "sgd" or case.count == 1 or peer != "torch-compile"]


# One peer, in a process of its own.


def resident(what):
    """Bytes that the kernel's `what` of this process names."""
    return 1024 * int(re.search(rf"{what}:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])


def seconds_of(form):
    start = time.perf_counter()
    amount = form()
    return (time.perf_counter() - start) / amount


def child(peer, case):
    """What the peer needs for the case, as a dictionary."""
    formed = case.count * case.weights * (4 if case.precision == "f32" else 8) if case.kind == "confusion" else 0
    if peer.endswith("vmap") and formed > MOST_BYTES:
        return {"skipped": f"needs {formed / 1e9:.0f} GB"}
    module = importlib.import_module(peer.split("-")[0])
    held = resident("VmRSS")
    forms, check = PEERS[case.kind][peer](case)
    best = next(iter(forms))
    if len(forms) > 1:
        best = min(forms, key=lambda name: (forms[name](), *[seconds_of(forms[name]) for _ in range(3)])[1:] and trial(forms[name]))
    form = forms[best]
    forms.clear()
    gc.collect()
    return {"module": module.__version__, "held": held, "form": form, "check": check}
