"""Open a page in Chromium, without a screen, and print what a visitor would notice.

python tests/support/browser.py PAGE WIDTH HEIGHT. One JSON object: ``network``
(addresses asked for besides the page itself), ``console`` (its messages) and what
``PROBE`` measures.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from PySide6.QtCore import QUrl
from PySide6.QtWebEngineCore import (
    QWebEnginePage,
    QWebEngineProfile,
    QWebEngineSettings,
    QWebEngineUrlRequestInfo,
    QWebEngineUrlRequestInterceptor,
)
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

PROBE = """
(() => {
  const images = [...document.images];
  const link = document.querySelector(".sortable a");
  const folded = document.querySelector(link.getAttribute("href")).closest("details");
  const before = folded.open;
  link.click();
  const after = folded.open;
  document.querySelectorAll("details").forEach(details => details.open = true);
  const value = ({dataset, textContent}) =>
    "number" in dataset ? Number(dataset.number) : textContent;
  const values = (table, i) =>
    [...table.tBodies[0].rows].map(row => value(row.cells[i]));
  const tables = [...document.querySelectorAll("table.sortable")];
  const sorted = tables.map(table => [...table.tHead.rows[0].cells].map((head, i) => {
    const button = head.querySelector("button");
    button.focus();
    const reached = document.activeElement === button;
    const found = [values(table, i)];
    for (const _ of "123") {
      button.click();
      found.push(values(table, i));
    }
    return [reached, ...found];
  }));
  return JSON.stringify({
    width: window.innerWidth,
    content: document.documentElement.scrollWidth,
    images: images.length,
    broken: images.filter(i => !i.complete || i.naturalWidth === 0).length,
    loose: [...document.querySelectorAll("img, table")]
      .filter(e => !e.closest(".scroll")).length,
    small: images.filter(i => i.getBoundingClientRect().width < 320).length,
    targets: [...document.querySelectorAll("nav a")]
      .filter(a => !document.querySelector(a.getAttribute("href"))).length,
    sorted: sorted,
    unfolded: [before, after],
  });
})()
"""
"""Follows a run's link, unfolds all, presses each header thrice; measures the page."""


class Requests(QWebEngineUrlRequestInterceptor):
    """Notes every address the page asks for."""

    def __init__(self, page: QUrl) -> None:
        super().__init__()
        self.page = page
        self.seen: list[str] = []

    def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:  # noqa: N802
        """Qt's hook, called before a request leaves."""
        url = info.requestUrl()
        if url != self.page and url.scheme() != "data":
            self.seen.append(url.toString())


class Page(QWebEnginePage):
    """A page that keeps what it writes to the console."""

    def __init__(self, profile: QWebEngineProfile) -> None:
        super().__init__(profile)
        self.messages: list[str] = []

    def javaScriptConsoleMessage(  # noqa: N802
        self, level: Any, message: str, line: int, source: str
    ) -> None:
        """Qt's hook, called for each message."""
        self.messages.append(f"{source}:{line}: {message}")


def main(file: str, width: str, height: str) -> int:
    """Load the page, measure it, print; 1 if it does not load."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--no-sandbox --disable-gpu"
    app = QApplication(sys.argv[:1])
    url = QUrl.fromLocalFile(str(Path(file).resolve()))
    profile, requests = QWebEngineProfile(), Requests(url)
    profile.setUrlRequestInterceptor(requests)
    page = Page(profile)
    remote = QWebEngineSettings.WebAttribute.LocalContentCanAccessRemoteUrls
    page.settings().setAttribute(remote, True)  # like any other browser
    view = QWebEngineView(page)
    view.resize(int(width), int(height))
    view.show()

    def found(text: str) -> None:
        seen = {"network": requests.seen, "console": page.messages}
        print(json.dumps(json.loads(text) | seen))
        app.exit()

    def loaded(well: bool) -> None:
        if well:
            page.runJavaScript(PROBE, found)
        else:
            app.exit(1)

    page.loadFinished.connect(loaded)
    view.load(url)
    return app.exec()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
