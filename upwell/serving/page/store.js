// What is kept in this browser: small things by name, and conversations in a database of their own.
// Knows nothing of what it keeps. Where storage is off or full, it only forgets.

export function remembered(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem("upwell." + name)) ?? otherwise;
  } catch {
    return otherwise; // storage may be off, or hold what an older page wrote
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem("upwell." + name, JSON.stringify(value));
  } catch { /* a full or forbidden storage only forgets */ }
}

// Records by their `id`. Everything is in memory; the database follows.
export class Shelf {
  constructor(name) {
    this.name = name;
    this.records = new Map();
    this.database = null;
  }

  async open() {
    try {
      this.database = await opened("upwell", this.name);
      const all = await settled(this.database.transaction(this.name).objectStore(this.name).getAll());
      for (const record of all) this.records.set(record.id, record);
    } catch { /* a private window: what is said here is gone when it closes */ }
    return this;
  }

  has(id) {
    return this.records.has(id);
  }

  all() {
    return [...this.records.values()].sort((one, other) => other.changed - one.changed);
  }

  put(record) {
    this.records.set(record.id, record);
    this.write((store) => store.put(record));
  }

  remove(id) {
    this.records.delete(id);
    this.write((store) => store.delete(id));
  }

  write(work) {
    try {
      if (this.database) work(this.database.transaction(this.name, "readwrite").objectStore(this.name));
    } catch { /* the database was closed under us; memory still has it */ }
  }
}

function opened(name, store) {
  const request = indexedDB.open(name, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(store, { keyPath: "id" }));
  return settled(request);
}

function settled(request) {
  return new Promise((done, fail) => {
    request.addEventListener("success", () => done(request.result));
    request.addEventListener("error", () => fail(request.error));
    request.addEventListener("blocked", () => fail(new Error("blocked")));
  });
}
