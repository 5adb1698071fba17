"""Kernels that start warm: each is forked from a process that has imported what all lessons import.

TensorFlow takes seconds to import, and twenty notebooks would pay them one after the other. A fork
is a process of its own, with nothing in it yet but the packages: names, models and compiled
functions of one lesson never reach another.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading

command = None  # while kernels start warm, a function that returns how Jupyter starts one


@contextlib.contextmanager
def kernels():
    """Lets kernels start warm for a while; the first one starts the process they come from. Where
    forks are not safe, on macOS and Windows, they start as ever."""
    global command
    if sys.platform != "linux":
        yield
        return
    from ipykernel import kernelspec

    usual, opened = kernelspec.get_kernel_dict, contextlib.ExitStack()
    places = []

    def asking():
        places[:] = places or [opened.enter_context(source())]
        return [sys.executable, __file__, "ask", *places, "-f", "{connection_file}"]

    def described(*args, **more):  # nbval asks for it
        return {**usual(*args, **more), "argv": asking()}

    command, kernelspec.get_kernel_dict = asking, described
    try:
        with opened:
            yield
    finally:
        command, kernelspec.get_kernel_dict = None, usual


@contextlib.contextmanager
def source():
    """Starts the process from which kernels are forked; yields where it listens. It ends when its
    standard input closes, however that comes about."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        place = os.path.join(folder, "kernels")
        listening.bind(place)
        listening.listen()
        process = subprocess.Popen(
            [sys.executable, __file__, "fork", str(listening.fileno())],
            pass_fds=[listening.fileno()],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # a fork would lose further threads
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield place
        finally:
            process.stdin.close()
            process.wait()


def fork(number):
    """Imports what lessons share, then forks a kernel for everybody who asks."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    del sys.path[0]  # the folder of this file, which no kernel has
    from ipykernel.kernelapp import IPKernelApp

    import course_utils.decoding
    import course_utils.document
    import course_utils.lesson
    import course_utils.widgets.studio  # noqa: F401

    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"a fork would lose {threads - 1} threads"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a kernel here
    listening = socket.socket(fileno=number)
    while listening in select.select([listening, sys.stdin], [], [])[0]:
        asking, _ = listening.accept()
        with asking:
            if os.fork() == 0:
                listening.close()
                become(asking, IPKernelApp)


def become(asking, application):
    """Makes this process a kernel, which ends when the one who asked for it does, or the tests."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    tests = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    folder, variables, arguments = json.loads(asking.makefile().readline())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    asking.sendall(f"{os.getpid()}\n".encode())

    def follow():
        select.select([asking, tests], [], [])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    application.launch_instance(argv=arguments)
    os._exit(0)


def ask(place, *arguments):
    """Asks for a kernel, passes interrupts on to it, and ends when it does."""
    with socket.socket(socket.AF_UNIX) as kernel:
        kernel.connect(place)
        wanted = os.getcwd(), dict(os.environ), arguments
        kernel.sendall(f"{json.dumps(wanted)}\n".encode())
        number = int(kernel.makefile().readline())
        signal.signal(signal.SIGINT, lambda *_: os.kill(number, signal.SIGINT))
        kernel.recv(1)


if __name__ == "__main__":
    what, place, *more = sys.argv[1:]
    fork(int(place)) if what == "fork" else ask(place, *more)
