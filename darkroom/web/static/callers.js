// Calling a person back when what they asked for is done: a sound, a notification, each only where this browser was asked to.
darkroom.callers = (deed) => {
  const { memory } = darkroom;
  const words = darkroom.words.queue;
  const NOTES = [659, 880];
  const REMEMBERED = 50;
  let left = false; // whether something of this browser's is unfinished
  let audio = null;

  const wants = (name) => memory.read(name, false) === true;
  const canNotify = () => "Notification" in window && Notification.permission === "granted";

  function ring() {
    audio ??= new AudioContext();
    if (audio.state === "suspended") audio.resume();
    NOTES.forEach((pitch, place) => {
      const tone = audio.createOscillator();
      const loud = audio.createGain();
      const begin = audio.currentTime + place * 0.16;
      tone.frequency.value = pitch;
      loud.gain.setValueAtTime(0.0001, begin);
      loud.gain.exponentialRampToValueAtTime(0.12, begin + 0.02);
      loud.gain.exponentialRampToValueAtTime(0.0001, begin + 0.5);
      tone.connect(loud).connect(audio.destination);
      tone.start(begin);
      tone.stop(begin + 0.55);
    });
  }

  // Of several tabs one calls. A job that is tried again ends once more, and in another history its number is another's.
  function isFirst({ id, finished_at: at }) {
    const calls = memory.read("calls", []);
    const end = `${id} ${at}`;
    if (calls.includes(end)) return false;
    memory.write("calls", [...calls, end].slice(-REMEMBERED));
    return true;
  }

  function call(job, title) {
    if (!isFirst(job)) return;
    darkroom.tell("called", { id: job.id });
    if (wants("sound")) ring();
    if (!wants("notify") || !canNotify() || !document.hidden) return;
    const note = new Notification(title, { body: job.prompt, tag: "darkroom", icon: "/mark.svg" });
    note.addEventListener("click", () => {
      window.focus();
      note.close();
    });
  }

  function news({ jobs, ended, owed, cutOff }) {
    if (cutOff) return;
    const mine = ended.filter((job) => job.mine && job.state !== "cancelled");
    const wasMore = left;
    left = owed || jobs.some((job) => job.mine && job.state !== "paused");
    const failed = mine.findLast((job) => job.state === "failed");
    if (failed) call(failed, words.failed_title);
    else if (mine.length && !left) call(mine.at(-1), wasMore && mine.length > 1 ? words.done_all_title : words.done_title);
  }

  const press = (button, name) => button.setAttribute("aria-pressed", String(wants(name)));

  const sound = deed("sound", words.sound, words.sound, () => {
    memory.write("sound", !wants("sound"));
    press(sound, "sound");
    if (wants("sound")) ring();
  }, "sound");
  const notify = deed("notify", words.notify, words.notify, async () => {
    const turnOn = !wants("notify");
    if (turnOn && "Notification" in window) await Notification.requestPermission();
    if (turnOn && !canNotify()) darkroom.toast(words.notify_denied);
    memory.write("notify", turnOn && canNotify());
    press(notify, "notify");
  }, "bell");
  press(sound, "sound");
  press(notify, "notify");
  darkroom.queue.follow(news);
  return [sound, notify];
};
