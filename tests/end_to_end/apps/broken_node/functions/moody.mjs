let answered = 0;

const forever = () => new Promise((resolve) => setTimeout(resolve, 60_000));

export const handler = async (event) => {
  answered += 1;
  switch (JSON.parse(event.body).mood) {
    case "throw":
      throw new TypeError("in a bad mood");
    case "sleep":
      await forever();
      break;
    case "exit":
      process.exit(1);
      break;
    case "reject":
      Promise.reject(new Error("nobody waits for this"));
      await forever();
      break;
    case "throw later":
      setTimeout(() => {
        throw new Error("nobody catches this");
      }, 10);
      await forever();
      break;
    case "loop":
      for (;;);
  }
  return { statusCode: 200, body: `answer ${answered}` };
};
