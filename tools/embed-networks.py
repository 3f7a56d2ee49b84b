#!/usr/bin/env python3
"""Write the network descriptions given as files into one C file, each named like its file.

usage: embed-networks.py OUTPUT FILE...
"""
import os
import sys


def c_string(line):
    """One line as a C string literal, every byte outside printable ASCII as octal."""
    out = ""
    for byte in line.encode():
        char = chr(byte)
        if char in '"\\':
            out += "\\" + char
        elif 0x20 <= byte < 0x7F:
            out += char
        else:
            out += "\\%03o" % byte
    return '"%s"' % out


def main():
    output, files = sys.argv[1], sys.argv[2:]
    with open(output, "w", encoding="ascii") as c:
        c.write("/* Made by tools/embed-networks.py from data/networks. */\n")
        c.write('#include "driver/network.h"\n\n')
        c.write("const struct pc_driver_network_built_in pc_driver_networks_built_in[] = {\n")
        for path in sorted(files, key=os.path.basename):
            with open(path, encoding="utf-8") as text:
                lines = text.read().splitlines(keepends=True)
            body = "\n      ".join(c_string(line) for line in lines)
            c.write("    { %s,\n      %s },\n" % (c_string(os.path.basename(path)), body))
        c.write("    { NULL, NULL },\n};\n")


main()
