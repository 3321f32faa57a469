// Small line drawings for buttons: darkroom.icon("star"). Every button that has one also has a name in words.
darkroom.icon = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const PATHS = {
    star: "M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z",
    copy: "M9 9h10v11H9zM6 15H5V4h10v2",
    download: "M12 4v11M7.5 10.5L12 15l4.5-4.5M5 19.5h14",
    expand: "M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5",
    trash: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.3 10.5v5.5M13.7 10.5v5.5",
    restore: "M5 10h9.5a4.5 4.5 0 010 9H9M5 10l4-4M5 10l4 4",
    purge: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10 11l4 5M14 11l-4 5",
    check: "M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17zM8.3 12.3l2.6 2.6 4.9-5.4",
    checks: "M4 4h12v12H4zM7.2 10.2l2 2 3.8-4.2M8.5 19.5h11v-11",
    close: "M6 6l12 12M18 6L6 18",
    left: "M14.5 5.5L8 12l6.5 6.5",
    right: "M9.5 5.5L16 12l-6.5 6.5",
    down: "M6.5 9.5L12 15l5.5-5.5",
    up: "M12 19V5.5M6.5 11L12 5.5l5.5 5.5",
    lower: "M12 5v13.5M6.5 13l5.5 5.5 5.5-5.5",
    front: "M5 4.5h14M12 20V9M6.5 14.5L12 9l5.5 5.5",
    pause: "M8.5 5.5v13M15.5 5.5v13",
    play: "M8 5.5v13l10.5-6.5z",
    sound: "M5 9.5v5h3.5L13 18.5v-13L8.5 9.5zM16 9a4.5 4.5 0 010 6M18.5 6.5a8 8 0 010 11",
    bell: "M6.5 16.5h11l-1.5-2.5V10a4 4 0 00-8 0v4zM10.5 19.5h3",
    memory: "M7 7h10v10H7zM9.5 3.5V7M14.5 3.5V7M9.5 17v3.5M14.5 17v3.5M3.5 9.5H7M3.5 14.5H7M17 9.5h3.5M17 14.5h3.5",
    plus: "M12 5v14M5 12h14",
    minus: "M5 12h14",
    fit: "M4 8V5h4M20 8V5h-4M4 16v3h4M20 16v3h-4",
    info: "M12 11v6M12 7.4v.2M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17z",
    link: "M10 14a4 4 0 005.7 0l3-3a4 4 0 00-5.7-5.7l-1 1M14 10a4 4 0 00-5.7 0l-3 3A4 4 0 0011 18.7l1-1",
    picture: "M4 5h16v14H4zM4 16l4.5-4.5 4 4 3-3L20 17M15.5 9.3v.2",
  };

  return (name) => {
    const svg = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", PATHS[name]);
    svg.append(path);
    return svg;
  };
})();
