# SPDX-License-Identifier: Apache-2.0
"""A page of metrics as a scrape gets it."""
import re
import urllib.request

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def scrape(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        return answer.read().decode()


class Page:
    def __init__(self, text):
        self.text, self.samples = text, {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = SAMPLE.match(line).groups()
            self.samples.setdefault(name, []).append((dict(LABEL.findall(labels or "")), float(value)))

    def sum(self, name, **labels):
        """Of all samples of that name with these labels; KeyError when there are none."""
        found = [value for has, value in self.samples[name] if labels.items() <= has.items()]
        if not found:
            raise KeyError(f"{name}{labels}")
        return sum(found)

    def values(self, name, label):
        return {has[label] for has, _ in self.samples[name]}
