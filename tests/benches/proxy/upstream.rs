//! The upstream of this bench: the same small answer to every GET, written without a look at it. It shares the clients'
//! thread, which never sleeps.
//!
//! Why: to wake a thread that sleeps costs whoever writes to it several microseconds. How often the proxy has to
//! would depend on how fast it is, and figures would say more about sleep than about chains. Cheap, so that the proxy
//! is what everybody waits for.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: bench\r\n\
    content-type: application/json\r\ncontent-length: 38\r\n\r\n{\"id\":42,\"name\":\"alice\",\"plan\":\"gold\"}\n";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Serve on that runtime while somebody drives it, and keep it awake; where.
pub(crate) fn start(runtime: &Runtime) -> io::Result<SocketAddr> {
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    runtime.spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    Ok(address)
}

/// How it ends is the proxy's to judge.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    while stream.read_buf(&mut buffer).await? > 0 {
        if buffer.ends_with(END_OF_HEAD) {
            buffer.clear();
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}
