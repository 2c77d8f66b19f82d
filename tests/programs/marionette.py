#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""marionette.py PROFILE URL PICTURE: Firefox, headless, with that profile: what it shows for the URL is the picture.

It is told by Marionette, its own remote control, since --screenshot waits for ever for a page that is refused. Prints
what it says of the page: nothing where it loads.
"""
import base64
import json
import pathlib
import socket
import subprocess
import sys
import time

# Which pictures of a page are there, in its elements' own trees too.
PICTURES = """
const pictures = root => [...root.querySelectorAll("*")].flatMap(element =>
	[...(element.localName == "img" ? [element] : []), ...(element.shadowRoot ? pictures(element.shadowRoot) : [])]);
return pictures(document).map(picture => picture.complete && picture.naturalWidth > 0);
"""
WHY = "return document.getFailedCertSecurityInfo().errorCodeString"


class Marionette:
    """Packets are LENGTH:JSON; a command is [0, number, name, parameters], its answer [1, number, error, result]."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.stream = self.socket.makefile("rb")
        self.number = 0
        self.receive()

    def receive(self):
        length = b""
        while (byte := self.stream.read(1)) not in (b":", b""):
            length += byte
        return json.loads(self.stream.read(int(length)))

    def tell(self, name, **parameters):
        self.number += 1
        packet = json.dumps([0, self.number, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(packet), packet))
        _, _, error, result = self.receive()
        return error, result

    def run(self, script):
        error, result = self.tell("WebDriver:ExecuteScript", script=script, args=[])
        if error:
            sys.exit(f"{error['error']}: {error['message']}")
        return result["value"]


def port_of(firefox, profile):
    """Firefox writes there where it listens, once it does."""
    file = pathlib.Path(profile, "MarionetteActivePort")
    while firefox.poll() is None:
        if file.exists() and file.read_text():
            return int(file.read_text())
        time.sleep(0.05)
    sys.exit(f"Firefox ended with {firefox.returncode}")


def look_at(firefox, profile, url, picture):
    marionette = Marionette(port_of(firefox, profile))
    marionette.tell("WebDriver:NewSession")
    marionette.tell("WebDriver:SetWindowRect", width=700, height=700)
    error, _ = marionette.tell("WebDriver:Navigate", url=url)
    if error:
        # A warning counts as loaded before its picture is there.
        while not (there := marionette.run(PICTURES)) or not all(there):
            time.sleep(0.05)
        print(error["error"], marionette.run(WHY))
    _, shown = marionette.tell("WebDriver:TakeScreenshot", full=False)
    pathlib.Path(picture).write_bytes(base64.b64decode(shown["value"]))
    marionette.tell("Marionette:Quit", flags=["eForceQuit"])
    firefox.wait()


def main():
    profile, url, picture = sys.argv[1:]
    firefox = subprocess.Popen(["firefox-esr", "--headless", "--no-remote", "--marionette", "--profile", profile],
                               stdout=sys.stderr)
    try:
        look_at(firefox, profile, url, picture)
    finally:
        firefox.kill()


if __name__ == "__main__":
    main()
