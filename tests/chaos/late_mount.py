#!/usr/bin/env python3
"""Shows a folder at another place, as a network file system shows it to one of its hosts:

    late_mount.py FOLDER PLACE SECONDS

What another mount of the same folder changes is seen up to SECONDS late: names that are there or are not, lengths, times. A file that
is opened anew is read as it is. Locks hold among the processes of this mount only, and creating a file exclusively
keeps nobody out who believes that it is not there. Needs mfusepy from PyPI, and libfuse3."""

import os
import sys

import mfusepy

FOLDER, PLACE, SECONDS = os.path.abspath(sys.argv[1]), sys.argv[2], float(sys.argv[3])
TOLD = ("mode", "nlink", "size", "uid", "gid", "ino", "blocks")
ROOM = ("bavail", "bfree", "blocks", "bsize", "favail", "ffree", "files", "frsize", "namemax")


class Mount(mfusepy.Operations):
    use_ns = True

    def there(self, path):
        return FOLDER + path

    def getattr(self, path, handle=None):
        known = os.lstat(self.there(path))
        told = {f"st_{name}": getattr(known, f"st_{name}") for name in TOLD}
        told.update({f"st_{kind}time": getattr(known, f"st_{kind}time_ns") for kind in "amc"})
        return told

    def statfs(self, path):
        known = os.statvfs(self.there(path))
        return {f"f_{name}": getattr(known, f"f_{name}") for name in ROOM}

    def readdir(self, path, handle):
        return [".", "..", *os.listdir(self.there(path))]

    def mkdir(self, path, mode):
        os.mkdir(self.there(path), mode)

    def rmdir(self, path):
        os.rmdir(self.there(path))

    def unlink(self, path):
        os.unlink(self.there(path))

    def rename(self, old, new, *flags):
        os.rename(self.there(old), self.there(new))

    def chmod(self, path, mode):
        os.chmod(self.there(path), mode)

    def open(self, path, flags):
        return os.open(self.there(path), flags)

    def create(self, path, mode, info=None):
        return os.open(self.there(path), os.O_RDWR | os.O_CREAT, mode)

    def truncate(self, path, length, handle=None):
        os.truncate(self.there(path) if handle is None else handle, length)

    def read(self, path, size, offset, handle):
        return os.pread(handle, size, offset)

    def write(self, path, data, offset, handle):
        return os.pwrite(handle, data, offset)

    def fsync(self, path, data_only, handle):
        os.fsync(handle)

    def release(self, path, handle):
        os.close(handle)


mfusepy.FUSE(
    Mount(),
    PLACE,
    foreground=True,
    default_permissions=True,
    attr_timeout=SECONDS,
    entry_timeout=SECONDS,
    negative_timeout=SECONDS,
)
