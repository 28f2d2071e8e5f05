"""create_subprocess_exec and create_subprocess_shell: real programs, real pipes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from support.descriptors import none_leaked
from support.pythons import quiet_broken_pipes

pytestmark = pytest.mark.timeout(60)
PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT


async def run(*program, text=None, **options):
    """Runs a program with its output caught; answers (return code, output, errors)."""
    options = {"stdin": PIPE if text is not None else None, "stdout": PIPE, "stderr": PIPE} | options
    process = await asyncio.create_subprocess_exec(*program, **options)
    output, errors = await process.communicate(text)
    return process.returncode, output, errors


async def python(code, *args, **options):
    return await run(sys.executable, "-I", "-c", code, *args, **options)


async def test_a_program_runs_and_ends():
    process = await asyncio.create_subprocess_exec("true")
    assert process.pid > 0
    assert await process.wait() == 0
    assert process.returncode == 0
    assert process.stdin is process.stdout is process.stderr is None


async def test_output_and_errors_are_caught_apart():
    process = await asyncio.create_subprocess_shell(
        "echo out; echo err >&2; exit 7", stdout=PIPE, stderr=PIPE
    )
    assert await process.communicate() == (b"out\n", b"err\n")
    assert process.returncode == 7
    assert await process.wait() == 7


async def test_errors_can_be_joined_with_the_output():
    process = await asyncio.create_subprocess_shell("echo out; echo err >&2", stdout=PIPE, stderr=STDOUT)
    assert await process.communicate() == (b"out\nerr\n", None)


async def test_input_is_given_to_the_program():
    assert await run("cat", text=b"some input") == (0, b"some input", b"")
    assert await run("cat", text=b"") == (0, b"", b"")


async def test_megabytes_pass_through_a_program():
    data = bytes(range(256)) * 20_000
    code, output, _ = await run("cat", text=data)
    assert code == 0
    assert output == data


async def test_input_and_output_can_be_used_by_turns():
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    for line in (b"one\n", b"two\n", b"three\n"):
        process.stdin.write(line)
        await process.stdin.drain()
        assert await process.stdout.readline() == line
    process.stdin.close()
    await process.stdin.wait_closed()
    assert await process.stdout.read() == b""
    assert await process.wait() == 0


async def test_the_null_device_can_stand_for_each_stream():
    process = await asyncio.create_subprocess_shell(
        "cat; echo x; echo y >&2", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    assert process.stdin is process.stdout is process.stderr is None
    assert await process.communicate() == (None, None)
    assert process.returncode == 0


async def test_files_and_descriptors_can_stand_for_each_stream(tmp_path):
    (tmp_path / "in").write_bytes(b"from a file")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        process = await asyncio.create_subprocess_exec("cat", stdin=source, stdout=target.fileno())
        assert await process.wait() == 0
    assert (tmp_path / "out").read_bytes() == b"from a file"


async def test_streams_are_inherited_by_default(tmp_path):
    with (tmp_path / "out").open("wb") as target:
        program = """if True:
            import asyncio
            async def main():
                process = await asyncio.create_subprocess_exec("echo", "hi")
                await process.wait()
            asyncio.run(main())
        """
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=target)
        assert await process.wait() == 0
    assert (tmp_path / "out").read_bytes() == b"hi\n"


async def test_the_streams_of_a_child_are_pipes():
    code = (
        "import os, stat\n"
        "print([stat.S_ISFIFO(os.fstat(n).st_mode) for n in range(3)])\n"
        "with open('/dev/stdin') as stdin:\n"
        "    print(stdin.read(), end='', flush=True)\n"
        "with open('/dev/stdout', 'w') as stdout:\n"
        "    stdout.write('written')"
    )
    assert await python(code, text=b"read\n") == (0, b"[True, True, True]\nread\nwritten", b"")


@pytest.mark.parametrize(
    ("method", "number"),
    [("kill", signal.SIGKILL), ("terminate", signal.SIGTERM), ("send_signal", signal.SIGHUP)],
)
async def test_a_program_can_be_signalled(method, number):
    process = await asyncio.create_subprocess_exec("sleep", "1000")
    assert process.returncode is None
    getattr(process, method)(*([number] if method == "send_signal" else []))
    assert await process.wait() == -number
    assert process.returncode == -number
    if sys.version_info < (3, 14):
        with pytest.raises(ProcessLookupError):
            process.send_signal(signal.SIGTERM)


async def test_a_signal_can_be_caught_by_the_program():
    process = await asyncio.create_subprocess_shell(
        "trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.01; done", stdout=PIPE
    )
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGUSR1)
    assert await process.stdout.read() == b"caught\n"
    assert await process.wait() == 3


async def test_wait_can_be_called_by_many_and_again():
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
    waiting = [asyncio.create_task(process.wait()) for _ in range(5)]
    await asyncio.sleep(0)
    process.stdin.close()
    assert await asyncio.gather(*waiting) == [0] * 5
    assert await process.wait() == 0


async def test_waiting_can_be_cancelled():
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.01)
    assert process.returncode is None
    process.stdin.close()
    assert await process.wait() == 0


async def test_communicate_can_be_cancelled():
    process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    task = asyncio.create_task(process.communicate())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    process.kill()
    assert await process.wait() == -signal.SIGKILL


@quiet_broken_pipes
async def test_a_program_that_does_not_read_its_input():
    code, output, _ = await run("true", text=bytes(1_000_000))
    assert (code, output) == (0, b"")


async def test_many_programs_run_at_once():
    with none_leaked():
        results = await asyncio.gather(*(run("cat", text=b"%d" % number) for number in range(30)))
        assert results == [(0, b"%d" % number, b"") for number in range(30)]


async def test_return_codes_of_many_programs_are_not_mixed_up():
    async def ends_with(code):
        process = await asyncio.create_subprocess_shell(f"exit {code}")
        return await process.wait()

    assert await asyncio.gather(*map(ends_with, range(30))) == list(range(30))


async def test_a_program_that_is_missing_is_reported():
    with none_leaked():
        with pytest.raises(FileNotFoundError) as caught:
            await asyncio.create_subprocess_exec("/no/such/program", stdin=PIPE, stdout=PIPE)
        assert caught.value.filename == "/no/such/program"


async def test_a_file_that_is_no_program_is_reported(tmp_path):
    (tmp_path / "file").write_text("not a program")
    with none_leaked(), pytest.raises(PermissionError):
        await asyncio.create_subprocess_exec(str(tmp_path / "file"))


async def test_a_folder_that_is_missing_is_reported():
    with pytest.raises(FileNotFoundError) as caught:
        await asyncio.create_subprocess_exec("true", cwd="/no/such/folder")
    assert caught.value.filename == "/no/such/folder"


async def test_the_working_folder_can_be_chosen(tmp_path):
    assert await run("pwd", cwd=tmp_path) == (0, os.fsencode(tmp_path) + b"\n", b"")


async def test_the_environment_can_be_chosen():
    assert await run("/usr/bin/env", env={"A": "1", "B": "two"}) == (0, b"A=1\nB=two\n", b"")


async def test_descriptors_can_be_passed_on():
    read_end, write_end = os.pipe()
    code = f"import os; os.write({write_end}, b'through a pipe')"
    assert (await python(code, pass_fds=[write_end]))[0] == 0
    os.close(write_end)
    assert os.read(read_end, 100) == b"through a pipe"
    assert (await python(f"import os; os.fstat({read_end})"))[0] == 1
    os.close(read_end)


async def test_descriptors_can_all_be_inherited():
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    assert (await python(f"import os; os.fstat({write_end})", close_fds=False))[0] == 0
    os.close(read_end)
    os.close(write_end)


async def test_a_function_can_be_run_before_the_program():
    def prepare():
        os.umask(0o123)
        os.environ["IGNORED"] = "by the program"

    assert await run("sh", "-c", "umask", preexec_fn=prepare) == (0, b"0123\n", b"")


async def test_a_function_that_fails_before_the_program_is_reported():
    def fail():
        raise ValueError

    with none_leaked(), pytest.raises(subprocess.SubprocessError, match="preexec_fn"):
        await asyncio.create_subprocess_exec("true", preexec_fn=fail, stdout=PIPE)


async def test_options_of_popen_are_taken():
    assert await run("sh", "-c", "umask", umask=0o77) == (0, b"0077\n", b"")
    code, output, _ = await python("import os; print(os.getsid(0) == os.getpid())", start_new_session=True)
    assert (code, output) == (0, b"True\n")
    if os.getuid() == 0:
        assert (await run("id", "-u", user=65534))[1] == b"65534\n"


async def test_arguments_may_be_bytes_and_paths(tmp_path):
    assert (await run(b"echo", b"bytes", tmp_path))[1] == b"bytes " + os.fsencode(tmp_path) + b"\n"
    process = await asyncio.create_subprocess_shell(b"echo bytes", stdout=PIPE)
    assert await process.communicate() == (b"bytes\n", None)


async def test_the_first_argument_can_differ_from_the_program():
    assert await run("another name", "-c", "echo $0", executable="/bin/sh") == (0, b"another name\n", b"")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"universal_newlines": True}, "universal_newlines must be False"),
        ({"text": True}, "text must be False"),
        ({"encoding": "utf-8"}, "encoding must be None"),
        ({"errors": "strict"}, "errors must be None"),
        ({"bufsize": 1}, "bufsize must be 0"),
        ({"shell": True}, "shell must be False"),
    ],
)
async def test_options_for_text_are_refused(options, text):
    with pytest.raises(ValueError, match=r".+") as caught:
        await asyncio.create_subprocess_exec("true", **options)
    assert str(caught.value) == text
    if "shell" not in options:
        with pytest.raises(ValueError, match=r".+") as caught:
            await asyncio.create_subprocess_shell("true", **options)
        assert str(caught.value) == text


async def test_a_shell_takes_one_command(loop):
    with pytest.raises(ValueError, match=r"^cmd must be a string$"):
        await asyncio.create_subprocess_shell(["true"])
    with pytest.raises(ValueError, match=r"^shell must be True$"):
        await loop.subprocess_shell(asyncio.SubprocessProtocol, "true", shell=False)


def test_a_loop_in_another_thread_runs_programs(loop_factory):
    results = []

    async def main():
        results.append(await run("cat", text=b"from a thread"))

    def work():
        loop = loop_factory()
        loop.run_until_complete(main())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert results == [(0, b"from a thread", b"")]
