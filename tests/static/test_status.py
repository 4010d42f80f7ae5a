"""`<landline-status>`: what it says, when, and to whom."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).parents[2] / "src" / "flask_landline" / "static" / "landline-status.js"


@pytest.fixture
def badge(page: Page) -> Page:
    """Return a page with the element and a line that the tests speak for. Its clock stands."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.set_content("<landline-status></landline-status>")
    page.evaluate(
        """
        window.line = Object.assign(new EventTarget(), {
          status: "polling",
          become(status) { this.status = status; this.dispatchEvent(new Event("status")); },
        });
        window.badge = document.querySelector("landline-status");
        """
    )
    return page


def load(page: Page) -> None:
    page.add_script_tag(content=SCRIPT.read_text(), type="module")
    # Bounded: a script that throws as it loads never defines it.
    page.wait_for_function("Boolean(customElements.get('landline-status'))")


def give_line(page: Page) -> None:
    page.evaluate("badge.line = line")


def become(page: Page, status: str, lasting: int) -> None:
    page.evaluate("status => line.become(status)", status)
    page.clock.run_for(lasting)


def shown(page: Page) -> tuple[str | None, str]:
    status, word = page.evaluate(
        "[badge.getAttribute('status'), badge.shadowRoot.querySelector('[part=word]').textContent]"
    )
    return status, word


def test_first_status_is_shown_at_once(badge: Page) -> None:
    load(badge)
    expect(badge.locator("landline-status")).to_be_hidden()
    give_line(badge)
    assert shown(badge) == ("polling", "polling")
    expect(badge.get_by_role("status")).to_be_visible()


def test_further_ones_are_shown_when_they_have_lasted_a_second(badge: Page) -> None:
    load(badge)
    give_line(badge)
    become(badge, "live", 999)
    assert shown(badge) == ("polling", "polling")
    badge.clock.run_for(1)
    assert shown(badge) == ("live", "live")


def test_what_is_over_sooner_is_never_shown(badge: Page) -> None:
    load(badge)
    give_line(badge)
    become(badge, "live", 1000)
    badge.evaluate("new MutationObserver(all => window.changes = all.length).observe(badge, { attributes: true })")
    for _ in range(5):
        become(badge, "offline", 900)
        become(badge, "polling", 900)
        become(badge, "live", 900)
    badge.clock.run_for(10_000)
    assert shown(badge) == ("live", "live")
    assert badge.evaluate("window.changes") is None


def test_same_status_again_does_not_begin_the_second_anew(badge: Page) -> None:
    """A line says so too when only its transport changes."""
    load(badge)
    give_line(badge)
    become(badge, "live", 600)
    become(badge, "live", 400)
    assert shown(badge) == ("live", "live")


def test_words_are_attributes_and_may_change(badge: Page) -> None:
    load(badge)
    badge.evaluate("badge.setAttribute('polling', 'fragt nach')")
    give_line(badge)
    assert shown(badge) == ("polling", "fragt nach")
    badge.evaluate("badge.setAttribute('polling', 'demande')")
    assert shown(badge) == ("polling", "demande")
    badge.evaluate("badge.removeAttribute('polling')")
    assert shown(badge) == ("polling", "polling")


def test_line_may_be_given_before_the_script_is_there(badge: Page) -> None:
    give_line(badge)
    load(badge)
    assert shown(badge) == ("polling", "polling")
    become(badge, "live", 1000)
    assert shown(badge) == ("live", "live")
    assert badge.evaluate("badge.line === line")


def test_element_that_is_moved_shows_what_is_at_once(badge: Page) -> None:
    load(badge)
    give_line(badge)
    badge.evaluate("badge.remove()")
    become(badge, "live", 5000)
    assert shown(badge) == ("polling", "polling")
    badge.evaluate("document.body.append(badge)")
    assert shown(badge) == ("live", "live")


def test_another_line_takes_the_place_of_the_first(badge: Page) -> None:
    load(badge)
    give_line(badge)
    become(badge, "offline", 500)
    badge.evaluate("badge.line = Object.assign(new EventTarget(), { status: 'live' })")
    become(badge, "polling", 5000)
    assert shown(badge) == ("live", "live")
    badge.evaluate("badge.line = null")
    expect(badge.locator("landline-status")).to_be_hidden()


def test_marks_differ_in_shape_and_take_colours_from_the_page(badge: Page) -> None:
    load(badge)
    badge.evaluate("badge.style.cssText = '--landline-live: rgb(1, 2, 3)'")
    give_line(badge)
    shapes = set()
    for status in ("live", "polling", "offline", "closed"):
        become(badge, status, 1000)
        style = "(({ height, borderWidth, borderColor }) => [height, borderWidth, borderColor])"
        height, width, colour = badge.evaluate(
            f"{style}(getComputedStyle(badge.shadowRoot.querySelector('[part=mark]')))"
        )
        shapes.add((height, width))
        assert (colour == "rgb(1, 2, 3)") == (status == "live")
    assert len(shapes) == 4


def test_browser_without_sheets_to_share_shows_the_same(badge: Page) -> None:
    """Safari before 16.4: a script that throws as it loads takes with it every module that imports it."""
    badge.evaluate("CSSStyleSheet = function () { throw new TypeError('Illegal constructor') }; delete Object.hasOwn")
    give_line(badge)
    load(badge)
    assert shown(badge) == ("polling", "polling")
    style = "(({ borderRadius, borderTopStyle }) => [borderRadius, borderTopStyle])"
    mark = "getComputedStyle(badge.shadowRoot.querySelector('[part=mark]'))"
    assert badge.evaluate(f"{style}({mark})") == ["50%", "solid"]
    badge.evaluate("badge.line = null")
    expect(badge.locator("landline-status")).to_be_hidden()


def test_policy_that_forbids_styles_leaves_it_its_own(page: Page) -> None:
    """Where sheets can be shared: no Content-Security-Policy speaks of those."""
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'none'"
    page.set_content(
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><landline-status></landline-status>'
    )
    load(page)
    page.evaluate("document.querySelector('landline-status').line = Object.assign(new EventTarget(), {status: 'live'})")
    mark = "document.querySelector('landline-status').shadowRoot.querySelector('[part=mark]')"
    assert page.evaluate(f"getComputedStyle({mark}).borderTopStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_for_browsers_without_light_dark_stand_out_from_either_page(scheme: str) -> None:
    """WCAG 2.2, 1.4.11: 3:1 at least. In an old engine they are looked at by test_webkit.py."""
    colours = re.findall(r"--_\w+: #(\w\w)(\w\w)(\w\w);", SCRIPT.read_text())
    assert len(colours) == 4
    page_luminance = luminance("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 18, 18)")
    for parts in colours:
        darker, lighter = sorted([page_luminance, luminance(f"rgb({', '.join(str(int(part, 16)) for part in parts)})")])
        assert (lighter + 0.05) / (darker + 0.05) >= 3, parts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out_from_the_page(badge: Page, scheme: str) -> None:
    """WCAG 2.2, 1.4.11: graphics have a contrast of 3:1 at least; here as if they were words, 4.5:1."""
    badge.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    badge.evaluate("document.documentElement.style.colorScheme = 'light dark'")
    load(badge)
    give_line(badge)
    page_luminance = luminance("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 18, 18)")
    for status in ("live", "polling", "offline", "closed"):
        become(badge, status, 1000)
        colour = badge.evaluate("getComputedStyle(badge.shadowRoot.querySelector('[part=mark]')).borderTopColor")
        darker, lighter = sorted([page_luminance, luminance(colour)])
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (status, colour)


def luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
