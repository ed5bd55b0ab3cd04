"""Carries every packet between two network namespaces: late by DELAY_MS each way, and not at all in LOSS of 100 cases.

  relay.py HERE THERE DEVICE DELAY_MS LOSS SEED

Each end is a TUN device, `DEVICE-a` in HERE and `DEVICE-b` in THERE, which goes with this process.
"""
import collections, ctypes, fcntl, os, random, select, struct, sys, time

here, there, device = sys.argv[1:4]
delay, loss = float(sys.argv[4]) / 1e3, float(sys.argv[5]) / 100
chance = random.Random(int(sys.argv[6]))


def end(namespace, name):
    """Makes a device in a namespace; packets for it are read from, and written to, what is returned."""
    with open(f"/run/netns/{namespace}") as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), 0) != 0:
            sys.exit(f"cannot enter {namespace}: {os.strerror(ctypes.get_errno())}")
    packets = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    tun_without_header, make = 0x1001, 0x400454CA
    fcntl.ioctl(packets, make, struct.pack("16sH22x", name.encode(), tun_without_header))
    return packets


ends = [end(here, device + "-a"), end(there, device + "-b")]
late = collections.deque()
carried = lost = 0
while True:
    wait = max(0.0, late[0][0] - time.monotonic()) if late else None
    readable = select.select(ends, [], [], wait)[0]
    for source in readable:
        packet = os.read(source, 1 << 16)
        if chance.random() < loss:
            lost += 1
        else:
            target = ends[1 - ends.index(source)]
            late.append((time.monotonic() + delay, target, packet))
    while late and late[0][0] <= time.monotonic():
        _, target, packet = late.popleft()
        carried += 1
        try:
            os.write(target, packet)
        except OSError:
            lost += 1  # its queue is full, or it is not up yet
        if (carried + lost) % 100 == 0:
            print(carried, lost, flush=True)
