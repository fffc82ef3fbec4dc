"""An SFTP server on 127.0.0.1, port 0, for tests: a folder, a password and a key, and what goes wrong on demand."""
import asyncio
import threading

import asyncssh


class SftpServer:
    def __init__(self, root):
        self.root = root
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.cuts = 0  # so many connections are cut in the middle of a large file
        self.before_read = lambda: None  # called when the first piece of a file is asked for
        self.reads = []  # where what was asked for began
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.call(self.listen())

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def listen(self, port=0):
        this = self

        class Login(asyncssh.SSHServer):
            def begin_auth(self, username):
                return True

            def password_auth_supported(self):
                return True

            def validate_password(self, username, password):
                return (username, password) == ("ada", "pw secret")

            def public_key_auth_supported(self):
                return True

            def validate_public_key(self, username, key):
                return username == "ada" and key == this.user_key.convert_to_public()

        class Files(asyncssh.SFTPServer):
            def __init__(self, channel):
                super().__init__(channel, chroot=str(this.root).encode())

            def read(self, file_obj, offset, size):
                this.reads.append(offset)
                if offset == 0:
                    this.before_read()
                if this.cuts and offset > 1_000_000:
                    this.cuts -= 1
                    self.connection.abort()
                return super().read(file_obj, offset, size)

        self.server = await asyncssh.listen("127.0.0.1", port, server_host_keys=[self.key], server_factory=Login, sftp_factory=Files)
        self.port = self.server.get_port()

    def stop(self):
        async def close():
            self.server.close()
            await self.server.wait_closed()
        self.call(close())

    def close(self):
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)

    @property
    def fingerprint(self):
        return self.key.get_fingerprint()

    @property
    def public_key(self):
        return " ".join(self.key.export_public_key().decode().split()[:2])
