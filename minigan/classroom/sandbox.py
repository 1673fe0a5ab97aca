"""The walls around a student's process, on a Linux that lets us: python -I sandbox.py PLACE … -- COMMAND …

The command runs in namespaces of its own (user, processes, mounts, network, messages). It sees the PLACEs and the
system's programs, all of them read-only, and an empty folder /tmp that lies in memory; it cannot signal, read or write
anything else, nor reach a network. Two processes stand between it and the judge: the one that was started, and the
first of the new namespace, with which all the others end.

Without a PLACE there are no walls, and one process between.

Run by itself, with the standard library alone. Exit status: that of the command, 128 + n after signal n, NO_WALLS if
there can be none.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress

NO_WALLS = 125
NAMESPACES = 0x10000000 | 0x20000000 | 0x20000 | 0x40000000 | 0x8000000  # user, pid, mount, net, ipc
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18  # flags of mount(2)
MOUNT_SETATTR, HERE, ALL_BELOW, READ_ONLY, NO_SETUID = 442, -100, 0x8000, 1, 2  # of mount_setattr(2)
DIE_WITH_PARENT = 1  # an option of prctl(2)
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/nix/store", "/gnu/store")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
ROOT = "/tmp"  # over which the new root is laid
WITHIN = 1000  # the user's number inside: any but 0, which would keep its rights when the command starts


def call(name, *arguments):
    """A function of the C library that returns 0 if it worked. OSError where it did not."""
    arguments = [a.encode() if isinstance(a, str) else ctypes.c_long(a) for a in arguments if a is not None]
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def enter():
    """Go into the new namespaces; that of processes begins with the next child. Rights last until a command starts."""
    user, group = os.geteuid(), os.getegid()
    call("unshare", NAMESPACES)
    for name, text in ("setgroups", "deny"), ("uid_map", f"{WITHIN} {user} 1"), ("gid_map", f"{WITHIN} {group} 1"):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def build(places):
    """Make a root that holds the places, the system and an empty /tmp, and go there."""
    call("mount", "", "/", "", PRIVATE | RECURSIVE, 0)
    places = [place for place in (*SYSTEM, *DEVICES, *places) if os.path.exists(place)]
    opened = [(place, os.open(place, os.O_PATH)) for place in places]  # before the new root hides some of them
    call("mount", "tmpfs", ROOT, "tmpfs", 0, "size=128m,mode=755")
    for place, original in opened:
        copy, itself = ROOT + place, f"/proc/self/fd/{original}"
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if os.path.lexists(copy):
            continue  # it lies in a place that is there already
        if os.path.isdir(itself):
            os.mkdir(copy)
        else:
            os.close(os.open(copy, os.O_CREAT))
        call("mount", itself, copy, "", BIND | RECURSIVE, 0)
        if place not in DEVICES:
            attributes = (READ_ONLY | NO_SETUID).to_bytes(8, sys.byteorder) + bytes(24)
            copy, size = ctypes.create_string_buffer(copy.encode()), len(attributes)
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.syscall(ctypes.c_long(MOUNT_SETATTR), HERE, copy, ALL_BELOW, attributes, ctypes.c_size_t(size)):
                raise OSError(ctypes.get_errno(), "mount_setattr")
    os.makedirs(f"{ROOT}/proc")
    with suppress(OSError):  # in some containers there is none, and nobody needs it
        call("mount", "proc", f"{ROOT}/proc", "proc", 0, 0)
    for _, original in opened:
        os.close(original)
    os.makedirs(f"{ROOT}/tmp", exist_ok=True)
    os.chroot(ROOT)
    os.chdir("/tmp")


def follow(child):
    """End as the child ends, whatever signals come until then."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        process, status = os.wait()  # the first process of a namespace is the parent of all whose own has ended
        if process == child:
            status = os.waitstatus_to_exitcode(status)
            os._exit(status if status >= 0 else 128 - status)


def main(places, command):
    if not places:
        if child := os.fork():
            follow(child)
        os.execv(command[0], command)
    enter()
    if first := os.fork():
        follow(first)
    call("prctl", DIE_WITH_PARENT, int(signal.SIGKILL))
    build(places)
    if inside := os.fork():
        os.closerange(0, 3)
        follow(inside)
    os.execv(command[0], command)


if __name__ == "__main__":
    split = sys.argv.index("--")
    try:
        main(sys.argv[1:split], sys.argv[split + 1 :])
    except OSError as error:
        print(error, file=sys.stderr)
        os._exit(NO_WALLS)
