"""Pages that are made when the documentation is built: of commands' options, and of results/.

mkdocs calls `on_config`, `on_files` and `on_page_markdown`; the rest knows nothing of it. As a
program it copies the score of results/claims.md into README.md.
"""

from __future__ import annotations

import inspect
import pathlib
import posixpath
import re
from typing import Any

from lossylab.cli.commands import COMMANDS, SUBJECTS
from lossylab.core import command, flags
from lossylab.core.options import Options, specs

ROOT = pathlib.Path(__file__).parents[1]
STEMS = ("proxiqa", "wcdgan", "jpeg_encoder", "distortion_gan", "mmd_restoration")
_PAGES = {"README.md": "Overview", "tables.md": "Tables", "claims.md": "Claims"}
_CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
_SCORE = re.compile(r"(?<=<!-- scoreboard:).*?(?=<!-- end -->)", re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


# --- What is made ----------------------------------------------------------------------------


def commands() -> dict[str, str]:
    """Pages of all commands by their paths, and the list of them."""
    lines = ["# Commands", "", "`lossylab COMMAND --help` says the same.", ""]
    for subject, members in SUBJECTS.items():
        lines += [f"## {subject}", "", "| command | what it does |", "|---|---|"]
        lines += [f"| [lossylab {w}]({_file(w)}) | {COMMANDS[w].summary} |" for w in members]
        lines.append("")
    pages = {f"commands/{_file(words)}": page(words) for words in COMMANDS}
    return {"commands/index.md": "\n".join(lines), **pages}


def page(words: str) -> str:
    """The page of a command: what its --help says."""
    options = command.resolve(COMMANDS[words].options)
    parts = [f"# lossylab {words}", _prose(inspect.cleandoc(options.__doc__ or ""))]
    parts.append(f"```text\n{flags.form(options, f'lossylab {words}')}\n```")
    for title, names in flags.groups(options).items():
        if names:
            rows = [_row(options, name) for name in names]
            parts += [f"## {title}", "\n".join(["| option | what it is |", "|---|---|", *rows])]
    parts.append("`--flagfile=FILE` reads flags from a file, one a line.")
    return flags.with_flags("\n\n".join(parts), options) + "\n"


def results() -> dict[str, str]:
    """Pages of results/ by their paths: the ledger of claims and those of each paper."""
    files = sorted((ROOT / "results").rglob("*.md"))
    made = {_site_path(path): path.read_text("utf-8") for path in files}
    made["results/index.md"] = made.pop("results/claims.md")
    # Tables in what opens are Markdown here, too.
    made = {place: text.replace("<details>", "<details markdown>") for place, text in made.items()}
    for stem in STEMS:
        made[f"results/{stem}/index.md"] += _gallery(stem)
    return made


def figures() -> list[pathlib.Path]:
    """Figures of all papers, which pages show."""
    return sorted((ROOT / "results").glob("*/figures/*.png"))


def with_score(text: str) -> str:
    """The README with the score at the head of the ledger of claims."""
    ledger = (ROOT / "results" / "claims.md").read_text("utf-8")
    lines = [line for line in ledger.partition("\n## ")[0].splitlines() if line[:1] == "|"]
    table = "\n".join(lines).replace("](#", "](results/claims.md#")
    said = "from results/claims.md by `python docs/hooks.py` -->"
    return _SCORE.sub(lambda _: f" {said}\n\n{table}\n\n", text)


def _site_path(path: pathlib.Path) -> str:
    """Where a page of results/ lies in the documentation."""
    found = path.relative_to(ROOT).as_posix()
    return found.removesuffix("README.md") + "index.md" if path.name == "README.md" else found


def _gallery(stem: str) -> str:
    """All figures of a paper, below its overview."""
    shown = [path for path in figures() if path.parts[-3] == stem]
    lines = [f"![{_words(path.stem)}](figures/{path.name})" for path in shown]
    return "\n## Figures\n\n" + "\n\n".join(lines) + "\n"


def _words(name: str) -> str:
    return re.sub(r"^fig0*(\d+)_", r"Fig. \1: ", name).replace("_", " ")


def _file(words: str) -> str:
    return f"{words.replace(' ', '_')}.md"


def _row(options: type[Options], name: str) -> str:
    """An option as a line of a table."""
    said = flags.facts(options, name)
    text = specs(options)[name].help + (f" *({'; '.join(said)})*" if said else "")
    return f"| `{flags.written(options, name)}` | {_cell(text)} |"


def _cell(text: str) -> str:
    """A text that no Markdown and no HTML is seen in; names of options stay code."""
    parts = re.split(r"(`[^`]*`|^\*|\*$| \*\(|\)\*)", text.replace("|", "\\|"))
    return "".join(
        part if part[:1] == "`" or part in (" *(", ")*") else _plain(part) for part in parts
    )


def _plain(text: str) -> str:
    return re.sub(r"([*_<>\[\]])", r"\\\1", text)


def _prose(text: str) -> str:
    """Documentation as Markdown: commands in it become code."""
    parts = []
    for paragraph in text.split("\n\n"):
        lines = inspect.cleandoc(paragraph)
        is_code = lines.startswith("lossylab ")
        parts.append(f"```sh\n{lines}\n```" if is_code else _cell(lines))
    return "\n\n".join(parts)


# --- What mkdocs asks for --------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Puts the pages that are made into the navigation."""
    made = {"Commands": _commands_menu(), "Results": _results_menu()}
    config.nav = [{k: made.get(k, v) for k, v in entry.items()} for entry in config.nav]
    return config


def _commands_menu() -> list[Any]:
    """Commands by subject."""
    subjects = [
        {subject: [{words: f"commands/{_file(words)}"} for words in members]}
        for subject, members in SUBJECTS.items()
    ]
    return ["commands/index.md", *subjects]


def _results_menu() -> list[Any]:
    """Three pages a paper, and what else there is."""
    texts, menu = results(), []
    more = set(texts) - {"results/index.md"}
    for stem in STEMS:
        pages = [(title, _site_path(ROOT / "results" / stem / n)) for n, title in _PAGES.items()]
        more -= {path for _, path in pages}
        paper = _heading((ROOT / "docs" / "decisions" / f"{stem}.md").read_text("utf-8"))
        menu.append({paper.partition(":")[0]: [{title: path} for title, path in pages]})
    menu.append({"More": [{_heading(texts[path]): path} for path in sorted(more)]})
    return ["results/index.md", *menu]


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made, and the figures that they show."""
    from mkdocs.structure.files import File  # pyright: ignore[reportMissingImports]

    for path, text in {**commands(), **results()}.items():
        files.append(File.generated(config, path, content=text))
    for path in figures():
        place = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns links to files of the repository into links of the site, or into plain text."""
    del config
    return relinked(markdown, page.file.src_uri, {file.src_uri for file in files})


def relinked(markdown: str, here: str, known: set[str]) -> str:
    """A page whose links lead to pages of the site; others lose their targets.

    Args:
      markdown: the page.
      here: its path in the site.
      known: paths of all files of the site.
    """
    # Pages of docs/ lie one folder deeper in the repository than in the site.
    folder = posixpath.dirname(here if here.startswith("results/") else f"docs/{here}")

    def target(found: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(folder, found[1])).removeprefix("docs/")
        candidates = [path, path.replace("README.md", "index.md"), f"{path}/index.md"]
        candidates += ["results/index.md"] if path == "results/claims.md" else []
        place = next((each for each in candidates if each in known), "")
        if not place:
            return ""
        return posixpath.relpath(place, posixpath.dirname(here) or ".") + (found[2] or "")

    def prose(text: str) -> str:
        led_out = re.compile(r"(?<!!)\[([^\]]+)\]\(\)")
        return led_out.sub(r"\1", _LINK.sub(target, text))

    parts = _CODE.split(markdown)
    return "".join(part if number % 2 else prose(part) for number, part in enumerate(parts))


def _heading(text: str) -> str:
    return re.sub(r"\[\^\w+\]", "", text.split("\n", 1)[0].removeprefix("# "))


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_score(readme.read_text("utf-8")), "utf-8")
