// The feed of notes, and the form that posts them. A posted note is not drawn here: it comes back through the feed, as
// it comes to everybody else.

const SHOWN = 50;
const AGES = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

export class Notes {
  #list = document.getElementById("notes");
  #feed = document.getElementById("feed");
  #empty = document.getElementById("no-notes");
  #now;

  /** @param {() => number} now seconds, by the server's clock as near as is known */
  constructor(now) {
    this.#now = now;
    setInterval(() => this.#tellAges(), 15_000);
  }

  /** @param {{id: number, at: number, text: string}[]} notes the whole state */
  replace(notes) {
    // Read out what comes, not the fifty notes that were there before.
    this.#feed.setAttribute("aria-live", "off");
    this.#list.replaceChildren();
    for (const note of notes) this.#insert(note);
    this.#tidy();
  }

  /** @param {{id: number, at: number, text: string}} note maybe one that a snapshot had already */
  add(note) {
    this.#feed.setAttribute("aria-live", "polite");
    this.#insert(note)?.classList.add("new");
    this.#tidy();
  }

  #insert({ id, at, text }) {
    const after = [...this.#list.children].find((item) => Number(item.dataset.id) <= id);
    if (Number(after?.dataset.id) === id) return null;
    const item = document.createElement("li");
    item.dataset.id = id;
    const words = document.createElement("p");
    words.textContent = text;
    const time = document.createElement("time");
    time.dateTime = new Date(at * 1000).toISOString();
    time.title = new Date(at * 1000).toLocaleString();
    item.append(words, time);
    this.#list.insertBefore(item, after ?? null);
    return item;
  }

  #tidy() {
    while (this.#list.children.length > SHOWN) this.#list.lastElementChild.remove();
    this.#empty.hidden = this.#list.children.length > 0;
    this.#feed.classList.toggle("bare", !this.#empty.hidden);
    this.#tellAges();
  }

  #tellAges() {
    for (const time of this.#list.querySelectorAll("time")) {
      time.textContent = age(this.#now() - Date.parse(time.dateTime) / 1000);
    }
  }
}

/** @param {() => void} posted called when the server has taken a note */
export function connectForm(posted) {
  const form = document.getElementById("form");
  const button = form.querySelector("button");
  const trouble = document.getElementById("trouble");
  const room = document.getElementById("room");
  const { text } = form.elements;
  const length = Number(text.dataset.length);

  const look = () => {
    // As the server counts: characters, not the halves of those that JavaScript stores in two.
    const left = length - [...text.value.trim()].length;
    room.textContent = left >= 0 ? `${left} left` : `${-left} too many`;
    room.classList.toggle("over", left < 0);
  };
  const say = (words) => {
    trouble.textContent = words;
    text.setAttribute("aria-invalid", String(Boolean(words)));
  };

  text.addEventListener("input", look);
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) button.click();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    say(await post(form));
    button.disabled = false;
    if (trouble.textContent) return text.focus();
    form.reset();
    look();
    posted();
  });
}

/** @returns {Promise<string>} what went wrong; empty: nothing */
async function post(form) {
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (answer.ok) return "";
    const { error } = await answer.json().catch(() => ({}));
    return error ?? `The server answered ${answer.status}, and the note was not taken. Try again.`;
  } catch {
    return "The server cannot be reached, and the note was not sent. Try again in a moment.";
  }
}

function age(seconds) {
  if (seconds < 45) return "just now";
  if (seconds < 3600) return AGES.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86_400) return AGES.format(-Math.round(seconds / 3600), "hour");
  return AGES.format(-Math.round(seconds / 86_400), "day");
}
