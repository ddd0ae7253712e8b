"""What a service needs of the kernel beyond an ordinary process, and the least that its container gets."""
