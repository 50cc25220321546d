"""Confines its own process for good, then runs the file ``jailed_code`` of its folder.

A script of its own, by path, for any Python: it imports nothing but the standard library. ``runner`` starts it.
Nothing of the course's is read before the kernel has agreed to every part; else it ends with ``REFUSED``.
"""

# ruff: noqa: PTH109, PTH112, PTH118, PTH120, PTH123, SIM905  # pathlib would cost each answer 5 ms more

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from types import TracebackType

REFUSED = 97
OUT_OF_MEMORY = 98

# Linux's numbers. Those of Landlock's calls are the same on all architectures.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # Landlock's version -> how many rights of files it knows
_CAPABILITIES_3 = 0x20080522

_ALLOW, _DENY = 0x7FFF0000, 0x00050001  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
_EQUAL, _MASKED_EQUAL = 4, 7

# What Python and numpy need to compute. No sockets, no processes or threads, no signals, no shared memory, and
# nothing that changes a file: calls that are not here fail with EPERM.
_CALLS = """
access brk clock_getres clock_gettime clock_nanosleep close dup exit exit_group faccessat faccessat2 fstat
fstat64 fstatfs futex getcpu getcwd getdents64 getegid geteuid getgid getpid getppid getrandom getrlimit
getrusage gettid gettimeofday getuid lseek lstat madvise mmap mprotect mremap munmap nanosleep newfstatat poll
ppoll pread64 pselect6 read readlink readlinkat readv restart_syscall rseq rt_sigaction rt_sigprocmask
rt_sigreturn sched_getaffinity sched_yield select set_robust_list sigaltstack stat statx sysinfo time times
uname write writev
""".split()
_WRITING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC
_RESTRICTED_CALLS: list[tuple[str, tuple[int, int, int, int]]] = [  # an argument: which, how, with what
    ("open", (1, _MASKED_EQUAL, _WRITING, 0)),
    ("openat", (2, _MASKED_EQUAL, _WRITING, 0)),
    ("prlimit64", (0, _EQUAL, 0, 0)),
    *(("fcntl", (1, _EQUAL, command, 0)) for command in (1, 2, 3, 1030)),  # GETFD, SETFD, GETFL, DUPFD_CLOEXEC
]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def _agreed(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _limit(seconds: int, memory: int, output: int) -> None:
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: output,  # the only files that it can write are its standard output and error
        resource.RLIMIT_NOFILE: 64,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    # First a signal that tells the limit, then, where it is ignored, one that cannot be.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _give_up_privileges(parent: int) -> None:
    _agreed(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent-death signal")
    if os.getppid() != parent:
        raise OSError("the server's process has ended")
    _agreed(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _agreed(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "dumpable")
    none = struct.pack("6I", *[0] * 6)
    _agreed(_libc.capset(struct.pack("Ii", _CAPABILITIES_3, 0), none), "capset")


def _readable() -> Iterator[str]:
    """The interpreter's own files, the shared libraries, and the folder that the code is in."""
    environment = os.path.dirname(os.path.dirname(sys.executable))
    yield os.path.join(environment, "pyvenv.cfg")
    for prefix in {environment, sys.base_prefix, "/usr", "/usr/local", "/"}:
        for name in {"lib", "lib64", sys.platlibdir}:
            yield os.path.join(prefix, name)
    yield from ("/etc/ld.so.cache", "/etc/ld.so.conf", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom")
    yield os.getcwd()


def _restrict_files() -> None:
    version = _agreed(_libc.syscall(_CREATE_RULESET, None, 0, 1), "Landlock")
    rights = (1 << _FS_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("QQQ", rights, 0b11, 0b11)  # files; TCP; signals and abstract sockets
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _agreed(_libc.syscall(_CREATE_RULESET, attributes, size, 0), "Landlock's rules")
    for path in _readable():
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # not every system has all of them
            continue
        allowed = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
        rule = struct.pack("=Qi", allowed, opened)
        _agreed(_libc.syscall(_ADD_RULE, rules, 1, rule, 0), f"Landlock's rule for {path}")
        os.close(opened)
    _agreed(_libc.syscall(_RESTRICT_SELF, rules, 0), "Landlock")
    os.close(rules)


def _restrict_calls() -> None:
    try:
        seccomp = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise OSError("libseccomp.so.2 is not installed (the package libseccomp2, or libseccomp)") from None
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison)
    ]  # fmt: skip
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    rules = seccomp.seccomp_init(_DENY)
    if not rules:
        raise OSError("seccomp: no rules could be made")
    allowed: list[tuple[str, list[_Comparison]]] = [(name, []) for name in _CALLS]
    allowed += [(name, [_Comparison(*values)]) for name, values in _RESTRICTED_CALLS]
    for name, comparisons in allowed:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # this architecture has none of that name
            continue
        compared = (_Comparison * len(comparisons))(*comparisons)
        if seccomp.seccomp_rule_add_array(rules, _ALLOW, number, len(comparisons), compared):
            raise OSError(f"seccomp: no rule for {name}")
    if seccomp.seccomp_load(rules):
        raise OSError("seccomp: the kernel refused the rules")


def _confine(parent: int, seconds: int, memory: int, output: int) -> None:
    _give_up_privileges(parent)
    _restrict_files()
    _restrict_calls()
    _limit(seconds, memory, output)  # through prlimit64, of its own process


def _run() -> None:
    import site  # after the confinement: what an environment's .pth files run is confined as well

    site.main()
    sys.path.append(os.getcwd())
    with open("jailed_code", encoding="utf-8") as file:
        code = compile(file.read(), "jailed_code", "exec")
    exec(code, {"__name__": "__main__"})  # noqa: S102  # what this process is for


def _beyond_this_file(error: BaseException) -> TracebackType | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def main() -> int:
    """Its exit status: 0, 1 when the program failed, ``REFUSED`` or ``OUT_OF_MEMORY``."""
    try:
        _confine(*(int(argument) for argument in sys.argv[1:]))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # to the runner
        return REFUSED
    sys.argv[:] = ["jailed_code"]
    try:
        _run()
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException as error:  # SystemExit too: a program that ends half-way has not done what was asked
        sys.__excepthook__(type(error), error.with_traceback(_beyond_this_file(error)), None)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(status)  # nothing to tidy up: saves the interpreter's own end
