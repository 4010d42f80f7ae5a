// Socket.IO on node: `node socketio_node.mjs PORT`.
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (request.url === "/publish") io.emit("orders", JSON.parse(Buffer.concat(parts)));
    response.end();
  });
});
const io = new Server(server, { transports: ["websocket"] });
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
