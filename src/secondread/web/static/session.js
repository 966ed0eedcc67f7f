// What is typed outlives a session that ends; and what changes is told to the other tabs.

const KEPT = "typed"; // in this tab alone, and only until the next page
const AGAIN = "#again"; // the login leads back to the page with this
const channel = "BroadcastChannel" in window ? new BroadcastChannel("secondread") : null;
const forms = () => [...document.querySelectorAll("form[data-keep]")];
const here = () => location.pathname + location.search;

/** Leads to the login, and back to this page as it stands. */
export function toLogin() {
  keep();
  location.assign(`/login?next=${encodeURIComponent(here() + AGAIN)}`);
}

/** As fetch; where the session has ended it leads to the login. */
export async function fetched(address, options) {
  const answer = await fetch(address, options);
  if (answer.status === 401 || (answer.redirected && new URL(answer.url).pathname === "/login")) toLogin();
  return answer;
}

/** Tells the other tabs that readings have changed. */
export const tellChange = () => channel?.postMessage("changed");

/** Calls `act` whenever another tab tells of a change. */
export const onChange = (act) => channel?.addEventListener("message", act);

function keep(sent = false) {
  store({ page: here(), sent, forms: forms().map((form) => [form.id, fieldsOf(form)]) });
}

function comeBack() {
  for (const form of forms()) form.addEventListener("submit", () => keep(true));
  const kept = taken();
  if (location.hash !== AGAIN) {
    if (kept?.sent) tellChange(); // a form was sent and here is what came of it
    return false;
  }
  history.replaceState(null, "", here());
  if (!kept) return false;
  if (kept.page !== here()) { // a form leads elsewhere than to its own page
    store(kept);
    location.replace(kept.page + AGAIN);
    return false;
  }
  for (const [id, fields] of kept.forms) fill(document.getElementById(id), fields);
  return kept.forms.some(([, fields]) => fields.length > 0);
}

/** [name, value] of what a person can type or choose, but no password. */
function fieldsOf(form) {
  const fields = [...form.elements].filter(({ name, type }) => name && !["hidden", "password", "file", "submit", "button", "fieldset"].includes(type));
  return fields.filter(({ type, checked }) => checked || !["radio", "checkbox"].includes(type)).map(({ name, value }) => [name, value]);
}

function fill(form, fields) {
  for (const [name, value] of fields) {
    const field = form?.elements[name];
    if (field) field.value = value; // of radio buttons it chooses the one with that value
  }
}

function store(kept) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // Storage may be forbidden: then it has to be typed again.
  }
}

function taken() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT));
    sessionStorage.removeItem(KEPT);
    return kept;
  } catch {
    return null;
  }
}

/** Whether what was typed was put back, since the page was left for the login. */
export const typedAgain = comeBack();
