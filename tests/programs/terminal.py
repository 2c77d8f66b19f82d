#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run a program that wants its PIN typed at a terminal.

usage: terminal.py PROMPT TEXT COMMAND...     TEXT is typed each time PROMPT, a regular expression, is shown

Only what it says to its terminal goes there: its outputs are ours. Its exit status is ours too.
"""
import os
import pty
import re
import sys
import termios
import time

prompt, text, *command = sys.argv[1:]
outputs = [os.dup(1), os.dup(2)]
pid, terminal = pty.fork()
if pid == 0:
    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"terminal.py: {command[0]}: {error.strerror}")
shown = b""
while True:
    try:
        new = os.read(terminal, 4096)
    except OSError:  # nobody has the other side any more
        break
    if not new:
        break
    shown += new
    found = re.search(prompt.encode(), shown)
    if found:
        # What is typed before the program has turned the echo off is thrown away.
        while termios.tcgetattr(terminal)[3] & termios.ECHO and not os.waitid(
                os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(0.01)
        shown = shown[found.end():]
        os.write(terminal, text.encode() + b"\n")
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(code if code >= 0 else 128 - code)
