#!/usr/bin/env python3
"""The work of `cargo bench --bench engine` in PyTorch and JAX: same core, same run, in turn with ours.

    python3 benches/engine/peers.py                        every case, as Markdown tables; --list only names them
    python3 benches/engine/peers.py 64:64:2 f32            only the cases whose name holds all the words
    python3 benches/engine/peers.py --core 0 --json FILE   on another core; every figure as JSON
    python3 benches/engine/peers.py --bench PATH           this executable, instead of asking cargo for one

For each case ours runs, then every peer in a process of its own, then ours again; medians are told, and by how much our
second figure differed from the first. Ratios are above 1 where ours is faster. Everybody has one thread. Where a peer has
several forms, all are tried briefly and the fastest is timed and named.

    sgd        torch-nn        nn.Sequential, autograd and optim.SGD, plain or fused
               torch-hand      forward and backward by hand, into buffers made once, without autograd
               torch-compile   eight hand-written steps in one torch.compile (batch 1; needs a C++ compiler)
               jax-scan        lax.scan over steps of jax.grad, weights [out, in] or [in, out]; jax-unrolled: unrolled
    wrn        torch           functional, in place where that is possible, NHWC or NCHW (oneDNN); torch-compile: compiled
               jax             jit of grad; XLA's convolutions, or patches and a product
    confusion  torch-vmap      vmap(grad), then the products of all pairs; jax-vmap, of convolutions also lax.map
               torch-identity  products from the layers' inputs and deltas, no gradient formed; jax-identity

Training draws examples with replacement from 256 and steps by 0.01. `wrn` is a forward and a backward pass in train mode; as
in ours, neither the update nor the running statistics are part of it. Confusion of a d:w:L net is all pairs, reduced (by numpy)
to the least inner product and its pair, mean and rms of the cosines, four quantiles and a histogram of 200 bins; that of a Wide
ResNet, in eval mode, ends with the inner products. Peers compute in the precision of the case throughout. All peers of a case
must find the same numbers, or a warning says so. Memory is the peak of a peer's process above what it held after its imports; of
ours, the peak of the whole process. A d:w:L net's gradients are not formed by a peer where they would take more than 6 GB.

Needs Linux, Python 3.10 or later, and `pip install torch jax numpy` (written with 2.15, 0.10, 2.4); what is missing is left out.
"""

import argparse
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

EXAMPLES, STEP_SIZE = 256, 0.01
SHARES, BINS = (0.001, 0.01, 0.05, 0.5), 200
MOST_BYTES = 6e9  # of formed gradients
SECONDS = 1.0  # that a form is timed
F64_GATE = 0.45  # times as fast as our own f32
warn = partial(print, file=sys.stderr, flush=True)

JAX, VMAP, IDENTITY, TORCH = "jax-scan jax-unrolled", "torch-vmap jax-vmap", "torch-identity jax-identity", "torch torch-compile"
# What is wanted of ours, by a pattern of the case's name: how many times as fast as the fastest of these peers.
GATES = {
    "sgd 64:64:2 batch 1 f32": {JAX: 3, "torch-hand": 70, "torch-nn": 400},
    "sgd (784:64|64:256|784:256):2 batch 1 f32": {JAX: 2.5, "torch-hand": 6},
    "sgd 784:1024:2 batch 1 f32": {JAX: 2, "torch-hand": 1.6},
    "sgd 64:64:2 batch 128 f32": {JAX: 1.3, "torch-nn": 6},
    "sgd .*:(256|1024):2 batch 128 f32": {"any": 1.05},
    "wrn .* f32": {TORCH: 1.2, "jax": 3.5},
    "wrn .* without batch norm": {TORCH: 1.1, "jax": 3.5},
    "confusion wrn .*": {"torch-vmap": 1.8, "jax-vmap": 5},
    "confusion 64:64:2 N 512 f32": {VMAP: 25, IDENTITY: 1.2},
    "confusion 64:64:2 N 2048 f32": {VMAP: 25, IDENTITY: 2},
    "confusion 784:256:2 N 2048 f32": {VMAP: 80, IDENTITY: 2},
    "confusion 784:(256:2 N 512|1024:2 N .*) f32": {VMAP: 80, IDENTITY: 1.2},
}


class Case:
    """One row of our benchmark. `count` is the batch, or the number of gradients."""
    def __init__(self, name):
        self.name, (self.kind, net, count, precision) = name, re.match(r"(.*) (\S+) (?:batch|N) (\d+) (f\d\d)", name).groups()
        self.net, self.count = [int(size) for size in re.split("[:-]", net)], int(count)
        self.dtype, self.norm = precision.replace("f", "float"), "without" not in name
        self.unit = "/s" if self.kind == "sgd" else "ms"
        if ":" in net:
            dim, width, depth = self.net
            self.shapes = [(width, dim)] + [(width, width)] * depth + [(1, width)]
            self.weights = sum(rows * columns for rows, columns in self.shapes)


    def told(self, figure):
        """The figure and its unit."""
        return f"{figure:,.0f} {self.unit}" if figure >= 100 else f"{figure:.3g} {self.unit}"

    def ratio(self, ours, other):
        """How many times faster `ours` is."""
        return ours / other if self.unit == "/s" else other / ours


def cases():
    """Every case by name, ordered as in our benchmark."""
    small, large = ["64:64:2", "784:64:2", "64:256:2", "784:256:2", "784:1024:2"], ["64:64:2", "784:256:2", "784:1024:2"]
    names = []
    for precision in ("f32", "f64"):
        names += [f"sgd {net} batch 1 {precision}" for net in small]
        names += [f"sgd {net} batch 128 {precision}" for net in small if net != "784:64:2"]
    names += [f"wrn 16-{width} batch 128 f32{norm}" for width in (1, 2) for norm in ("", " without batch norm")]
    names += ["confusion wrn 16-1 N 128 f32"]
    names += [f"confusion {net} N {n} {precision}" for precision in ("f32", "f64") for n in (512, 2048) for net in large]
    return {name: Case(name) for name in names}


# From here to PEERS: what peers run. A peer is a function of the case; it returns forms by name, which do some work when they are
# called and return what comes of it (of training: how many steps), and a check: from a name, numbers that every peer must find.
def example_net(case, count, convert):
    """Weights [out, in], inputs on the sphere and labels of a teacher, converted from numpy's arrays."""
    import numpy as np
    draws = np.random.default_rng(0)
    weights = [draws.standard_normal(shape) / math.sqrt(shape[1]) for shape in case.shapes]
    inputs = draws.standard_normal((count, case.net[0]))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    labels = np.tanh(inputs @ draws.standard_normal((case.net[0], 1)))
    weights, inputs, labels = ([convert(x.astype(case.dtype)) for x in list(xs)] for xs in (weights, [inputs], [labels]))
    return weights, *inputs, *labels


def training(case, convert, dispatch, forms):
    """Training, from `forms[name](weights, inputs, labels)`: a function that takes the steps of an array of indices, and one that
    tells the weights. A step costs about `dispatch` seconds beside its arithmetic."""
    import numpy as np
    def draw(count, draws=np.random.default_rng(1)):
        return draws.integers(EXAMPLES, size=(count, case.count), dtype=np.int32)
    def run(advance, steps=max(1, int(0.2 / (6 * case.weights * case.count / 3e10 + dispatch)) // 16) * 16):
        advance(draw(steps))
        return steps
    def check(name):
        advance, weights = forms[name](*example_net(case, EXAMPLES, convert))
        advance(draw(16, np.random.default_rng(2)))
        pairs = zip(weights(), example_net(case, EXAMPLES, convert)[0])
        return [math.sqrt(float(((now - start) ** 2).sum())) / STEP_SIZE for now, start in pairs]
    return {name: partial(run, form(*example_net(case, EXAMPLES, convert))[0]) for name, form in forms.items()}, check


def confusion(case, convert, figures, sizes):
    """Confusion of a d:w:L net, from `figures(size, weights, inputs, labels)`, which looks at pairs in blocks of `size` rows."""
    forms = {f"{size} rows at a time": size for size in sizes}
    examples = example_net(case, case.count, convert)
    def check(name):
        *told, bins = figures(forms[name], *examples)
        return [*told, float(sum(b * count for b, count in enumerate(bins)) / sum(bins))]
    return {name: partial(figures, form, *examples) for name, form in forms.items()}, check


def factors(tanh, weights, x, c):
    """The inputs and the deltas [n, k] of every layer, and the lengths of the gradients that are made of them."""
    read = [x]
    for w in weights:
        read.append(tanh(read[-1] @ w.T))
    deltas = [(read[-1] - c) * (1 - read[-1] * read[-1])]
    for w, a in zip(weights[:0:-1], read[-2:0:-1]):
        deltas.append((deltas[-1] @ w) * (1 - a * a))
    layers = list(zip(read, deltas[::-1]))
    return layers, sum((a * a).sum(1) * (d * d).sum(1) for a, d in layers) ** 0.5


def products(layers, i, size):
    """Rows from i on of the Gram matrix, from column i on."""
    return sum((a[i : i + size] @ a[i:].T) * (d[i : i + size] @ d[i:].T) for a, d in layers)


def gram_of(formed):
    """Inner products of all pairs of gradients, a list over weights of [n, ...] that is emptied on the way."""
    gram = 0
    while formed:
        j = (j := formed.pop()).reshape(len(j), -1)
        gram = gram + j @ j.T
    return gram


def squared_loss(tanh, weights, x, c):
    """Of one example."""
    for w in weights:
        x = tanh(w @ x)
    return ((x - c) ** 2).sum() / 2


def scan(size, block, norms):
    """The figures of all pairs, in numpy: `block(i)` is `size` rows from i on of the Gram matrix, from column i on."""
    import numpy as np
    count = len(norms)
    inverse, cosines, end = 1 / norms, np.empty(count * (count - 1) // 2, norms.dtype), 0
    least, pair, total, squares, bins = math.inf, None, 0.0, 0.0, np.zeros(BINS + 1, int)
    for i in range(0, count, size):
        gram = block(i)
        rows, columns = gram.shape
        a, b = np.triu_indices(rows, 1)
        inside, outside = gram[:, :rows][a, b], gram[:, rows:]
        if inside.size and inside.min() < least:
            k = inside.argmin()
            least, pair = inside[k], (i + a[k], i + b[k])
        if outside.size and outside.min() < least:
            k = divmod(outside.argmin(), columns - rows)
            least, pair = outside[k], (i + k[0], i + rows + k[1])
        start, end = end, end + inside.size + outside.size
        here = cosines[start:end]
        np.multiply(inside, inverse[i + a] * inverse[i + b], out=here[: inside.size])
        rest = here[inside.size :].reshape(outside.shape)
        np.multiply(outside, inverse[i : i + rows, None], out=rest)
        rest *= inverse[i + rows :]
        np.clip(here, -1, 1, out=here)
        total, squares = total + float(here.sum()), squares + float(np.dot(here, here))
        bins += np.bincount((here * (BINS / 2) + BINS / 2).astype(np.uint8), minlength=BINS + 1)
    bins[BINS - 1] += bins[BINS]
    quantiles, end = [], len(cosines)
    for place in sorted(((len(cosines) - 1) * share for share in SHARES), reverse=True):
        rank, part = int(place), cosines[:end]
        part.partition(rank)
        above = part[rank + 1 :].min() if rank + 1 < end else part[rank]
        quantiles.append(float(part[rank] + (place - rank) * (above - part[rank])))
        end = rank + 1
    return float(least), *map(int, pair), total / len(cosines), math.sqrt(squares / len(cosines)), *quantiles, bins[:BINS]


def wide_resnet(case):
    """The numbers of a Wide ResNet in the order of the forward pass: kernels [k, k, in, out], scales and shifts [2, channels], head
    [in, out], biases; then running means and variances of as many channels as there are, images and classes."""
    import numpy as np
    draws, before, shapes = np.random.default_rng(0), 16, [(3, 3, 3, 16)]
    for outputs in (16 * case.net[1] << stage for stage in range(3)):
        for inputs in (before, outputs):
            shapes += [(2, inputs), (3, 3, inputs, outputs), (2, outputs), (3, 3, outputs, outputs)]
            shapes += [(1, 1, inputs, outputs)] if inputs != outputs else []
        before = outputs
    shapes = [shape for shape in [*shapes, (2, before)] if case.norm or len(shape) == 4]
    numbers = [draws.standard_normal(shape) * math.sqrt(2 / math.prod(shape[:3])) for shape in shapes]
    numbers = [x if x.ndim == 4 else np.stack([np.ones(x.shape[1]), np.zeros(x.shape[1])]) for x in numbers]
    numbers += [draws.uniform(-1, 1, (before, 10)) / math.sqrt(before), np.zeros(10)]
    running, pixels = np.stack([np.zeros(before), np.ones(before)]), draws.uniform(-1, 1, (case.count, 32, 32, 3))
    numbers, (running, pixels) = ([x.astype("float32") for x in xs] for xs in (numbers, (running, pixels)))
    return numbers, running, pixels, draws.integers(10, size=case.count)


def outputs_of(case, numbers, x, conv, rectify, pool):
    """The forward pass. `rectify` may overwrite what it reads where its last argument is true."""
    *rest, head, biases = numbers
    rest = iter(rest)
    def activate(x, is_free):
        return rectify(x, next(rest) if case.norm else None, is_free)
    x = conv(x, next(rest), 1)
    for block in range(6):
        stride = 2 if block in (2, 4) else 1
        a = activate(x, False)
        y = activate(conv(a, next(rest), stride), True)
        y = conv(y, next(rest), 1)
        y += x if x.shape == y.shape else conv(a, next(rest), stride)
        x = y
    return pool(activate(x, True)) @ head + biases


def torch_nn(case):
    import torch
    def begin(fused, weights, inputs, labels):
        layers = [layer for w in weights for layer in (torch.nn.Linear(*w.T.shape, bias=False), torch.nn.Tanh())]
        model = torch.nn.Sequential(*layers).to(inputs.dtype)
        for parameter, w in zip(model.parameters(), weights):
            parameter.data = w
        optimiser = torch.optim.SGD(model.parameters(), lr=STEP_SIZE, fused=fused)
        def advance(indices):
            for chosen in torch.from_numpy(indices):
                optimiser.zero_grad()
                loss = (model(inputs[chosen]) - labels[chosen]).square().sum() * (0.5 / case.count)
                loss.backward()
                optimiser.step()
        return advance, lambda: [w.detach() for w in model.parameters()]
    return training(case, torch.tensor, 4e-4, {"plain": partial(begin, False), "fused": partial(begin, True)})


def torch_hand(case, compiled=False):
    import torch
    mm, pull_back, alpha = torch.mm, torch.ops.aten.tanh_backward.grad_input, -STEP_SIZE / case.count
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
    def begin(weights, inputs, labels):
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
            if compiled:
                for chosen in torch.from_numpy(indices).view(-1, 8, 1):
                    eight(weights, inputs, labels, chosen)
            elif case.count == 1:
                for i in indices.ravel().tolist():
                    step(*single[i])
            else:
                for i in torch.from_numpy(indices).unbind():
                    step(torch.index_select(inputs, 0, i, out=x), torch.index_select(labels, 0, i, out=c))
        return advance, lambda: weights
    return training(case, torch.tensor, 2e-5 if compiled else 5e-5, {"eight steps" if compiled else "in place": begin})


def torch_confusion(case, is_formed):
    import torch
    gradients = torch.func.vmap(torch.func.grad(partial(squared_loss, torch.tanh)), (None, 0, 0))
    @torch.no_grad()
    def figures(size, *examples):
        if is_formed:
            gram = gram_of(list(gradients(*examples))).numpy()
            return scan(size, lambda i: gram[i : i + size, i:], gram.diagonal() ** 0.5)
        layers, norms = factors(torch.tanh, *examples)
        return scan(size, lambda i: products(layers, i, size).numpy(), norms.numpy())
    return confusion(case, torch.tensor, figures, (256,) if is_formed else (64, 128, 256, 512))


def torch_images(case, compiled=False):
    import torch
    functional, in_train = torch.nn.functional, case.kind == "wrn"
    def conv(x, kernel, stride):
        return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    def form(layout, chunk):
        memory = torch.channels_last if layout == "NHWC" else torch.contiguous_format
        arrays, running, pixels, classes = wide_resnet(case)
        arrays.append(pixels.transpose(1, 2, 3, 0))
        tensors = (torch.tensor(x.transpose(3, 2, 0, 1) if x.ndim == 4 else x) for x in arrays)
        *numbers, x = [x.contiguous(memory_format=memory) if x.dim() == 4 else x for x in tensors]
        running, c = torch.tensor(running), torch.tensor(classes)
        def rectify(x, norm, is_free):
            if norm is not None:
                mean, variance = (None, None) if in_train else running[:, : norm.shape[1]]
                x = functional.batch_norm(x, mean, variance, norm[0], norm[1], training=in_train, eps=1e-5)
            return functional.relu(x, inplace=in_train and (is_free or norm is not None))
        def loss(numbers, x, c):
            return functional.cross_entropy(outputs_of(case, numbers, x, conv, rectify, lambda x: x.mean((2, 3))), c)
        if in_train:
            numbers = [x.requires_grad_() for x in numbers]
            loss = torch.compile(loss, fullgraph=True, dynamic=False) if compiled else loss
            return lambda: torch.autograd.grad(loss(numbers, x, c), numbers)
        one = torch.func.grad(lambda numbers, x, c: loss(numbers, x[None], c[None]))
        gradients = torch.func.vmap(one, (None, 0, 0), chunk_size=chunk)
        return lambda: [gram_of(list(gradients(numbers, x, c)))]
    layouts, chunks = ("NHWC",) if compiled else ("NHWC", "NCHW"), (case.count,) if in_train else (case.count, 32)
    forms = {f"{layout}, {chunk} at a time": form(layout, chunk) for layout in layouts for chunk in chunks}
    return forms, lambda name: [sum(float((x * x).sum()) for x in forms[name]())]


def jax_training(case, unrolls):
    import jax
    from jax import numpy as jnp
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
            state = [w.T if inputs_first else w for w in weights]
            def advance(indices):
                state[:] = jax.block_until_ready(steps(state[:], *examples, indices))
            return advance, lambda: [w.T if inputs_first else w for w in state]
        return begin
    layouts = {"[out, in]": False, "[in, out]": True}
    forms = {f"{name}, unroll {unroll}": form(layouts[name], unroll) for name in layouts for unroll in unrolls}
    return training(case, jnp.array, 1e-6, forms)


def jax_confusion(case, is_formed):
    import jax
    import numpy as np
    from jax import numpy as jnp
    gradients = jax.vmap(jax.grad(partial(squared_loss, jnp.tanh)), (None, 0, 0))
    gram = jax.jit(lambda *examples: gram_of(list(gradients(*examples))))
    @partial(jax.jit, static_argnums=0)
    def identity(size, *examples):
        layers, norms = factors(jnp.tanh, *examples)
        return [products(layers, i, size) for i in range(0, case.count, size)], norms
    def figures(size, *examples):
        if is_formed:
            whole = np.asarray(gram(*examples))
            return scan(size, lambda i: whole[i : i + size, i:], whole.diagonal() ** 0.5)
        blocks, norms = identity(size, *examples)
        return scan(size, lambda i: np.asarray(blocks[i // size]), np.asarray(norms))
    return confusion(case, jnp.array, figures, (256,) if is_formed else (64, 128, 256, 512))


def jax_images(case):
    import jax
    from jax import numpy as jnp
    in_train, examples = case.kind == "wrn", jax.tree.map(jnp.asarray, wide_resnet(case))
    def convolutions(x, kernel, stride):
        border = [(len(kernel) // 2,) * 2] * 2
        return jax.lax.conv_general_dilated(x, kernel, (stride,) * 2, border, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    def patches(x, kernel, stride):
        size, span, border = len(kernel), x.shape[1] - stride + 1, (len(kernel) // 2,) * 2
        x = jnp.pad(x, ((0, 0), border, border, (0, 0)))
        corners = [(slice(dy, dy + span, stride), slice(dx, dx + span, stride)) for dy in range(size) for dx in range(size)]
        read = jnp.concatenate([x[:, rows, columns] for rows, columns in corners], -1)
        return (read.reshape(-1, read.shape[-1]) @ kernel.reshape(read.shape[-1], -1)).reshape(*read.shape[:3], -1)
    def loss(conv, numbers, running, x, c):
        def rectify(x, norm, _):
            if norm is not None:
                mean, variance = (x.mean((0, 1, 2)), None) if in_train else running[:, : x.shape[-1]]
                variance = (x * x).mean((0, 1, 2)) - mean * mean if in_train else variance
                x = (x - mean) * (norm[0] * jax.lax.rsqrt(variance + 1e-5)) + norm[1]
            return jax.nn.relu(x)
        outputs = outputs_of(case, numbers, x, conv, rectify, lambda x: x.mean((1, 2)))
        return (jax.nn.logsumexp(outputs, 1) - jnp.take_along_axis(outputs, c[:, None], 1)[:, 0]).mean()
    def form(conv, chunk):
        def gram(numbers, running, *examples):
            def one(example):
                return jax.grad(partial(loss, conv))(numbers, running, *(x[None] for x in example))
            return [gram_of(jax.vmap(one)(examples) if chunk == case.count else jax.lax.map(one, examples, batch_size=chunk))]
        compiled = jax.jit(jax.grad(partial(loss, conv)) if in_train else gram)
        return lambda: jax.block_until_ready(compiled(*examples))
    chunks = [(convolutions, case.count)] + [(patches, chunk) for chunk in ((case.count,) if in_train else (None,))]
    forms = {f"{conv.__name__}, {chunk or 1} at a time": form(conv, chunk) for conv, chunk in chunks}
    return forms, lambda name: [sum(float((x * x).sum()) for x in forms[name]())]


PEERS = {
    "sgd": {"torch-nn": torch_nn, "torch-hand": torch_hand, "torch-compile": partial(torch_hand, compiled=True),
            "jax-scan": partial(jax_training, unrolls=(1,)), "jax-unrolled": partial(jax_training, unrolls=(4, 8))},
    "wrn": {"torch": torch_images, "torch-compile": partial(torch_images, compiled=True), "jax": jax_images},
    "confusion wrn": {"torch-vmap": torch_images, "jax-vmap": jax_images},
    "confusion": {"torch-vmap": partial(torch_confusion, is_formed=True), "jax-vmap": partial(jax_confusion, is_formed=True),
                  "torch-identity": partial(torch_confusion, is_formed=False),
                  "jax-identity": partial(jax_confusion, is_formed=False)},
}  # fmt: skip


def timed(form, seconds):
    """Seconds that a unit of the form's work takes, each time within about `seconds`, but at least once."""
    begun, found = time.perf_counter(), []
    while not found or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        steps = form()
        found.append((time.perf_counter() - start) / (steps if isinstance(steps, int) else 1))
    return found


def child(peer, case):
    """What the peer's process tells."""
    formed = case.count * case.weights * int(case.dtype[-2:]) / 8 if case.kind == "confusion" else 0
    if peer.endswith("vmap") and formed > MOST_BYTES:
        return {"absent": f"gradients of {formed / 1e9:.0f} GB"}
    if (case.kind, peer) == ("sgd", "torch-compile") and case.count > 1:
        return {"absent": "batch 1 only"}
    module = importlib.import_module(peer.split("-")[0])
    if peer.startswith("torch"):
        module.set_num_threads(1)
    else:
        module.config.update("jax_enable_x64", case.dtype == "float64")
    def resident(what):
        return 1024 * int(re.findall(rf"{what}:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[0])
    held = resident("VmRSS")
    forms, check = PEERS[case.kind][peer](case)
    for form in forms.values():
        form()  # compiles
    best = min(forms, key=lambda name: min(timed(forms[name], SECONDS / 4)))
    if os.access("/proc/self/clear_refs", os.W_OK):
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    typical = statistics.median(timed(forms[best], SECONDS))
    told = {"figure": 1 / typical if case.unit == "/s" else 1e3 * typical, "memory": max(0, resident("VmHWM") - held)}
    return told | {"form": best, "version": f"{module.__name__} {module.__version__}", "check": check(best)}


def bench_executable():
    """Our benchmark, which cargo builds where it is not built."""
    command = ["cargo", "bench", "--bench", "engine", "--no-run", "--message-format=json"]
    done = subprocess.run(command, cwd=pathlib.Path(__file__).parent, stdout=subprocess.PIPE, check=True, text=True)
    return re.findall(r'"executable":"([^"]*/engine-[^"]*)"', done.stdout)[-1]


def run_ours(bench, case):
    """Our figure, and the peak memory of the process."""
    process = subprocess.Popen([bench, "--json", "--exact", case.name], stdout=subprocess.PIPE, text=True)
    figures = [line["figure"] for line in map(json.loads, process.stdout) if line["case"] == case.name]
    _, process.returncode, usage = os.wait4(process.pid, 0)
    if process.returncode or len(figures) != 1:
        sys.exit(f"{bench} told {len(figures)} figures of {case.name!r} and ended with {process.returncode}")
    return {"figure": figures[0], "memory": 1024 * usage.ru_maxrss}


def run_peer(peer, case):
    """What the peer tells, with one thread whatever it is made of."""
    here = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    flags = f"--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 {here.get('XLA_FLAGS', '')}".strip()
    here |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"), "1")
    here |= {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, __file__, "--child", peer, case.name], env=here, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    warn(f"{case.name}: {peer}:\n{done.stderr}")
    return {"absent": "failed"}


def measure(case, bench, peers, repeats, twin):
    """Every figure of the case. `twin` is our figure of the same case in f32."""
    ours, found = [], {peer: [] for peer in peers}
    for _ in range(repeats):
        ours.append(run_ours(bench, case))
        for peer in peers:
            found[peer].append(run_peer(peer, case))
        ours.append(run_ours(bench, case))
    def median(runs, key="figure"):
        return statistics.median(run[key] for run in runs)
    row = {"case": case.name, "figure": median(ours), "memory": median(ours, "memory"), "peers": {}, "absent": {}, "gates": []}
    row["again"] = median(ours[1::2]) / median(ours[::2]) - 1
    for peer, runs in found.items():
        if absent := [run["absent"] for run in runs if "absent" in run]:
            row["absent"][peer] = absent[0]
            continue
        told = runs[0] | {key: median(runs, key) for key in ("figure", "memory")}
        row["peers"][peer] = told | {"ratio": case.ratio(row["figure"], told["figure"])}
    checks = [told["check"] for told in row["peers"].values()]
    if not all(math.isclose(a, b, rel_tol=2e-3, abs_tol=1e-5) for check in checks for a, b in zip(check, checks[0])):
        warn(f"{case.name}: the peers compute different things: {dict(zip(row['peers'], checks))}")
    for who, factor in (gate for pattern, wanted in GATES.items() if re.fullmatch(pattern, case.name) for gate in wanted.items()):
        ratios = [told["ratio"] for peer, told in row["peers"].items() if who == "any" or peer in who.split()]
        row["gates"] += [[who, factor, min(ratios)]] if ratios else []
    row["gates"] += [["own f32", F64_GATE, case.ratio(row["figure"], twin)]] if twin else []
    if case.kind == "confusion wrn":
        row["gates"] += [[f"memory of {peer}", 1, told["memory"] / row["memory"]] for peer, told in row["peers"].items()]
    return row


def table(kind, rows):
    """The cases of one kind, as Markdown."""
    peers = [peer for peer in PEERS[kind] if any(peer in row["peers"] for row in rows)]
    def cell(row, told):
        memory = f", {told['memory'] / 1e6:,.0f} MB" if kind.startswith("confusion") else ""
        return Case(row["case"]).told(told["figure"]) + memory + (f" ({told['ratio']:.2f}x)" if "ratio" in told else "")
    lines = [["case", "ours", "again", *peers, "ours / best peer", "wanted"], ["---", *["--:"] * (len(peers) + 3), "---"]]
    for row in rows:
        cells = [cell(row, row["peers"][peer]) if peer in row["peers"] else row["absent"].get(peer, "") for peer in peers]
        best = min((told["ratio"] for told in row["peers"].values()), default=0.0)
        told = [f"{who} {wanted}x: {ratio:.2f} {'met' if ratio >= wanted else '**missed**'}" for who, wanted, ratio in row["gates"]]
        lines.append([row["case"], cell(row, row), f"{row['again']:+.0%}", *cells, f"{best:.2f}x" if best else "", "; ".join(told)])
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
        return print("\n".join(f"{case.name}: {', '.join(PEERS[case.kind])}" for case in chosen))
    missing = [name for name in ("torch", "jax", "numpy") if importlib.util.find_spec(name) is None]
    if missing:
        warn(f"there are fewer peers, or none, without what this installs: pip install {' '.join(missing)}")
    os.sched_setaffinity(0, {asked.core})
    bench, rows, versions = asked.bench or bench_executable(), {}, set()
    for case in chosen:
        peers = [peer for peer in PEERS[case.kind] if not {"numpy", peer.split("-")[0]} & set(missing)]
        other = every[case.name.replace("f64", "f32")]
        twin = None if other is case else (rows.get(other.name) or run_ours(bench, other))["figure"]
        rows[case.name] = row = measure(case, bench, peers, asked.repeats, twin)
        told = [f"{peer} {case.told(told['figure'])} ({told['form']})" for peer, told in row["peers"].items()]
        warn("; ".join([f"{case.name}: {case.told(row['figure'])}", *told]))
        versions |= {told["version"] for told in row["peers"].values()}
        if asked.json:
            pathlib.Path(asked.json).write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    processor = re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())[:1]
    print(", ".join([*processor, f"core {asked.core}", "one thread", *sorted(versions), f"rounds: {asked.repeats}"]))
    for kind in PEERS:
        if of_kind := [rows[case.name] for case in chosen if case.kind == kind]:
            print(f"\n{table(kind, of_kind)}")


if __name__ == "__main__":
    main()
